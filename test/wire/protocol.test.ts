import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { pathOf, ROUTES, routeOf } from '../../src/wire/protocol/index.ts'

t.test('a path encodes its segments, and a route has a leading slash', async (t) => {
  t.equal(pathOf(ROUTES.round, { id: 'a/b', round: 3 }), 'v2/inferences/a%2Fb/rounds/3')
  t.equal(pathOf(ROUTES.models, {}), 'v2/models')
  t.equal(pathOf(ROUTES.manifest, { model: '$& :id' }), 'v2/models/%24%26%20%3Aid/manifest')
  t.equal(routeOf(ROUTES.infer), '/v2/models/:model/infer')
})

t.test('the compiler refuses a missing or misspelt segment', async (t) => {
  // @ts-expect-error: the round is missing
  t.equal(pathOf(ROUTES.round, { id: 'a' }), 'v2/inferences/a/rounds/undefined')
  // @ts-expect-error: the segment is called model
  t.equal(pathOf(ROUTES.infer, { name: 'a' }), 'v2/models/undefined/infer')
})

t.test('server and client take names of the protocol from here only', async (t) => {
  const NAMES =
    /['"`]\/?v2\/|['"`](polyveil-key-set|upload-offset|inference-header-content-length|return=minimal|application\/octet-stream|application\/problem\+json)['"`]/
  for (const side of ['server', 'client']) {
    const folder = new URL(`../../src/${side}/`, import.meta.url)
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue
      const lines = readFileSync(new URL(file, folder), 'utf8').split('\n')
      const found = lines.filter((line) => !/^\s*(\/?\*|\/\/)/.test(line) && NAMES.test(line))
      t.strictSame(found, [], `${side}/${file}`)
    }
  }
})
