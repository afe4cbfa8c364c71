import { execFile } from 'node:child_process'
import { appendFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { circuitDigest, writeCircuit } from '../../../src/circuit/format/file.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { PolyVeilError } from '../../../src/errors/index.ts'
import { ModelCatalogue } from '../../../src/server/models/catalogue.ts'
import { readCircuitAt } from '../../../src/server/models/circuit-file.ts'
import { ModelDirectory } from '../../../src/server/models/model-directory.ts'
import { rotatingCircuit } from '../rotating-circuit.ts'
import {
  announce,
  circuit,
  harness,
  isProblem,
  keyBytes,
  model,
  patterned,
  putPart,
  query,
  uploadKeys,
} from '../support.ts'

const good = writeCircuit(circuit)
/** The same manifest, and other weights. */
const reweighted = writeCircuit({
  ...circuit,
  constants: circuit.constants.map((_, i) => Float64Array.of(0.5 + i)),
})
const changed = (change: Partial<Circuit>): Uint8Array => writeCircuit({ ...circuit, ...change })
/** Another manifest. */
const relabelled = changed({ labels: ['a', 'b', 'c'] })
const damaged = good.slice()
damaged[damaged.length >> 1] ^= 1

/** A file whose name of the format says another version. */
function ofVersion(version: string): Uint8Array {
  const bytes = good.slice()
  bytes.set(Buffer.from(version), 'PVCIRC'.length)
  return bytes
}

interface Line {
  readonly level: 'info' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
}

interface Opened {
  readonly directory: string
  readonly models: ModelDirectory['models']
  readonly look: () => Promise<void>
  readonly errors: () => unknown[]
  readonly lines: Line[]
}

async function opened(
  t: Test,
  files: Record<string, Uint8Array | Record<string, Uint8Array>>,
): Promise<Opened> {
  const buffers = Object.entries(files).map(([name, content]) => [
    name,
    content instanceof Uint8Array
      ? Buffer.from(content)
      : Object.fromEntries(Object.entries(content).map(([inner, bytes]) => [inner, Buffer.from(bytes)])),
  ])
  const directory = t.testdir(Object.fromEntries(buffers))
  const lines: Line[] = []
  const note =
    (level: Line['level']) =>
    (fields: Line['fields']): void =>
      void lines.push({ level, fields })
  const log = { info: note('info'), error: note('error') } as never
  const found = await ModelDirectory.open(directory, log)
  t.teardown(() => found.close())
  return {
    directory,
    models: found.models,
    look: () => found.look(),
    lines,
    errors: () => lines.filter(({ level }) => level === 'error').map(({ fields }) => fields.file),
  }
}

/** Replaces a file as programs should: the whole file comes to its place at once. */
async function replace(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(`${path}.draft`, bytes)
  await rename(`${path}.draft`, path)
}

const served = ({ models }: Opened): string[] =>
  models.versions.map(({ name, version, digest }) => `${name} ${version} ${digest}`)
const line = (name: string, version: number, bytes: Uint8Array): string =>
  `${name} ${version} ${circuitDigest(bytes)}`

t.test('a bad circuit is left out and named, and the others are served', async (t) => {
  const o = await opened(t as Test, {
    'small.pvc': good,
    'bad.pvc': damaged,
    'torn.pvc': good.slice(0, 100),
    'picture.pvc': Buffer.from('not a circuit at all'),
    'twin.pvc': good,
  })
  t.strictSame(served(o), [line('small', 1, good)])
  t.strictSame(o.errors(), ['bad.pvc', 'picture.pvc', 'torn.pvc', 'twin.pvc'])
  const reasons = o.models.leftOut.map(({ file, error }) => `${file}: ${error.message}`)
  t.match(reasons, [
    /^bad.*digest/,
    /^picture.*no circuit file/,
    /^torn/,
    /^twin.*model small, as small.pvc is/,
  ])
  await o.look()
  await o.look()
  t.equal(o.errors().length, 4, 'each fault is logged once')

  const h = await harness(t as Test, { models: o.models })
  const ready = async (name: string) => {
    const answer = await h.inject({ url: `/v2/models/${name}/ready` })
    return { status: answer.statusCode, ...answer.json() }
  }
  t.match(await ready('torn'), { status: 503, ready: false, reasons: [/circuit file/] })
  t.match(await ready('small'), { status: 200, ready: true, reasons: [/digest/, /as small.pvc is/] })
  t.notMatch(JSON.stringify(await ready('torn')), o.directory, 'no path of the server')
  isProblem(t as Test, await h.inject({ url: '/v2/models/torn/manifest' }), 503, 'MODEL_UNAVAILABLE')
  isProblem(t as Test, await h.inject({ url: '/v2/models/none/ready' }), 404, 'MODEL_UNKNOWN')
})

t.test('circuits of other versions of the format are refused by version', async (t) => {
  const o = await opened(t as Test, {
    'small.pvc': good,
    'newer.pvc': ofVersion('09'),
    'older.pvc': ofVersion('01'),
  })
  t.match(
    o.models.leftOut.map(({ file, error }) => [file, error.message, error.remedy]),
    [
      ['newer.pvc', /version 9 of the format, of a newer PolyVeil, and this one reads version 8/, /Update/],
      ['older.pvc', /version 1 of the format, of an older PolyVeil/, /Compile it anew/],
    ],
  )
})

t.test('a file that is being written is not ready, and no fault', async (t) => {
  const o = await opened(t as Test, { 'small.pvc': good })
  const path = join(o.directory, 'late.pvc')
  const bytes = changed({ model: 'late' })
  await writeFile(path, new Uint8Array())
  for (let from = 0; from < bytes.length; from += bytes.length >> 2) {
    await o.look()
    t.notOk(o.models.readiness('late').ready)
    await appendFile(path, bytes.subarray(from, from + (bytes.length >> 2)))
  }
  await o.look()
  t.strictSame(o.errors(), [])
  t.strictSame(o.models.readiness('late'), { ready: true, reasons: [] })
  t.equal(o.models.get('late').digest, circuitDigest(bytes))

  await writeFile(path, bytes.subarray(0, 1000))
  await o.look()
  t.notOk(o.models.readiness('late').ready)
  t.strictSame(o.errors(), [], 'it may still grow')
  await o.look()
  await o.look()
  t.strictSame(o.errors(), ['late.pvc'], 'it does not grow')
  await writeFile(path, bytes)
  await o.look()
  t.ok(o.models.readiness('late').ready)
})

t.test('a retired circuit is answered with 410, and its successor with its own manifest', async (t) => {
  const o = await opened(t as Test, { 'small.pvc': good, 'other.pvc': changed({ model: 'other' }) })
  const h = await harness(t as Test, { models: o.models })
  const keys = await uploadKeys(h)
  t.equal((await h.inject(query(keys))).statusCode, 200)

  await replace(join(o.directory, 'small.pvc'), reweighted)
  await o.look()
  t.equal(o.models.get('small').digest, circuitDigest(reweighted), 'the circuit is another')
  t.equal((await h.inject(query(keys))).statusCode, 200, 'its manifest is the same')

  await replace(join(o.directory, 'small.pvc'), relabelled)
  await o.look()
  const now = o.models.get('small').manifest.digest
  isProblem(t as Test, await h.inject(query(keys)), 410, 'PARAMETERS_MISMATCH', { served: now })
  const never = { parameters: { key_set: keys, manifest_digest: 'f'.repeat(64) } }
  isProblem(t as Test, await h.inject(query(keys, { header: never })), 409, 'PARAMETERS_MISMATCH', {
    served: now,
  })
  const fresh = { parameters: { key_set: keys, manifest_digest: now } }
  t.equal((await h.inject(query(keys, { header: fresh }))).statusCode, 200, 'with the same keys')

  await rm(join(o.directory, 'small.pvc'))
  await o.look()
  for (const url of ['/v2/models/small', '/v2/models/small/manifest']) {
    isProblem(t as Test, await h.inject({ url }), 410, 'MODEL_UNKNOWN')
  }
  isProblem(t as Test, await h.inject(query(keys)), 410, 'MODEL_UNKNOWN')
  const ready = await h.inject({ url: '/v2/models/small/ready' })
  t.equal(ready.statusCode, 503)
  t.match(ready.json(), { name: 'small', ready: false, reasons: ['The model is not served any more'] })
  t.match((await h.inject({ url: '/v2/models' })).json().models, [{ name: 'other' }])
  t.equal((await h.inject({ url: '/v2/models' })).json().models.length, 1)

  await replace(join(o.directory, 'small.pvc'), good)
  await o.look()
  t.equal((await h.inject(query(keys))).statusCode, 200, 'it is back')
})

t.test('a circuit of larger queries can be added', async (t) => {
  const { circuit: narrow } = rotatingCircuit('narrow', 1)
  const o = await opened(t as Test, { 'narrow.pvc': writeCircuit(narrow) })
  t.ok(o.models.largestQuery('narrow') < model.queryBytes)
  const h = await harness(t as Test, { models: o.models })
  await writeFile(join(o.directory, 'small.pvc'), good)
  await o.look()
  const keys = await uploadKeys(h)
  t.equal((await h.inject(query(keys))).statusCode, 200)
})

t.test('bodies without Content-Length are bounded', async (t) => {
  const o = await opened(t as Test, { 'small.pvc': good })
  const h = await harness(t as Test, { models: o.models })
  const url = await h.app.listen({ port: 0, host: '127.0.0.1' })
  const piece = new Uint8Array(2 ** 20)
  let sent = 0
  const body = new ReadableStream({
    pull(controller) {
      sent += piece.length
      if (sent > 2 ** 27) controller.close()
      else controller.enqueue(piece)
    },
  })
  const { headers } = query('x')
  const answer = await fetch(`${url}/v2/models/small/infer`, {
    method: 'POST',
    headers: headers as Record<string, string>,
    body,
    duplex: 'half',
  } as RequestInit).catch(() => undefined)
  if (answer) t.match(await answer.json(), { code: 'TOO_LARGE', status: 413 })
  t.ok(sent < 2 ** 27, 'the server stops reading')
})

t.test('a folder has the versions of a model; the highest is the default', async (t) => {
  const o = await opened(t as Test, {
    'small.pvc': good,
    small: {
      '2.pvc': relabelled,
      '10.pvc': reweighted,
      'new.pvc': good,
      '3.pvc': changed({ model: 'else' }),
    },
    '.hidden': { '1.pvc': good },
    data: {},
  })
  t.strictSame(o.models.versionsOf('small'), [1, 2, 10])
  t.equal(o.models.get('small').digest, circuitDigest(reweighted))
  t.equal(o.models.get('small', '2').digest, circuitDigest(relabelled))
  t.throws(() => o.models.get('small', '4'), { code: 'MODEL_UNKNOWN', facts: { versions: [10, 2, 1] } })
  t.throws(() => o.models.get('small', '3'), { code: 'MODEL_UNAVAILABLE', message: /model else/ })
  t.match(
    o.models.leftOut.map(({ file, error }) => `${file}: ${error.message}`),
    [/^small\/3.pvc: .*model else/, /^small\/new.pvc: .*no version/],
  )
  const h = await harness(t as Test, { models: o.models })
  t.match((await h.inject({ url: '/v2/models/small' })).json(), { versions: ['1', '2', '10'] })

  const keys = await uploadKeys(h)
  const asked = o.models.get('small', '2')
  const parameters = { key_set: keys, manifest_digest: asked.manifest.digest }
  const answer = await h.inject(query(keys, { header: { parameters } }))
  t.equal(answer.statusCode, 200, 'a client with the manifest of an older version is served')
  t.equal(h.engine.jobs.at(-1)?.model, asked)
  t.match(answer.body, '"model_version":"2"')

  await rm(join(o.directory, 'small', '10.pvc'))
  await o.look()
  t.equal(o.models.get('small'), asked, 'the next highest')
})

t.test('a file that is held can be read after it was removed', async (t) => {
  const o = await opened(t as Test, { 'small.pvc': good, 'other.pvc': changed({ model: 'other' }) })
  const { file, path } = o.models.get('small')
  const letGo = file!.hold()
  await replace(path, reweighted)
  await o.look()
  const held = { path, descriptor: file!.descriptor }
  t.equal((await readCircuitAt(held)).digest, circuitDigest(good))
  t.equal((await readCircuitAt({ path })).digest, circuitDigest(reweighted))
  letGo()
  letGo()
  t.equal(file!.descriptor, undefined, 'the last holder closes it')
})

t.test('a file that is touched stays the same circuit, and links are followed', async (t) => {
  const o = await opened(t as Test, { 'small.pvc': good, real: {} })
  await mkdir(join(o.directory, 'elsewhere'))
  await writeFile(join(o.directory, 'elsewhere', 'file'), changed({ model: 'linked' }))
  await symlink('elsewhere/file', join(o.directory, 'linked.pvc'))
  await symlink('nowhere', join(o.directory, 'dangling.pvc'))
  await replace(join(o.directory, 'small.pvc'), good)
  await o.look()
  t.strictSame(
    o.models.versions.map(({ name }) => name),
    ['linked', 'small'],
  )
  t.strictSame(
    o.lines.map(({ fields }) => fields.model),
    ['small', 'linked'],
    'nothing is retired',
  )
})

t.test('what is served stays while the directory cannot be read', async (t) => {
  const o = await opened(t as Test, { 'small.pvc': good })
  await rename(o.directory, `${o.directory}-away`)
  await o.look()
  await o.look()
  t.equal(o.models.get('small').digest, circuitDigest(good))
  t.equal(o.lines.filter(({ level }) => level === 'error').length, 1)
  await rename(`${o.directory}-away`, o.directory)
  await o.look()
  t.strictSame(served(o), [line('small', 1, good)])
})

t.test(
  'a named pipe is left out, and nothing waits for its writer',
  { skip: process.platform === 'win32' },
  async (t) => {
    const found = await opened(t, { 'small.pvc': good })
    await promisify(execFile)('mkfifo', [join(found.directory, 'pipe.pvc')])
    await found.look()
    t.strictSame(served(found), [line('small', 1, good)])
    t.strictSame(
      found.models.leftOut.map(({ file }) => file),
      ['pipe.pvc'],
    )
  },
)

t.test('a key set that arrives while its model is away is kept', async (t) => {
  const models = new ModelCatalogue([model])
  const h = await harness(t, { models })
  const { id } = (await announce(h)).json()
  models.replace([], [])
  const answer = await putPart(h, id, 0, patterned(keyBytes))
  t.match(answer.json(), { complete: true })
  isProblem(t, await announce(h), 409, 'PARAMETERS_MISMATCH')
  const error = new PolyVeilError('CONFIG_INVALID', 'It is being written')
  models.replace([], [{ file: 'small.pvc', name: 'small', version: 1, error }])
  isProblem(t, await announce(h), 503, 'MODEL_UNAVAILABLE')
  models.replace([model], [])
  t.equal((await h.inject(query(id))).statusCode, 200)
})
