import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { ModelCatalogue } from '../../src/server/models/catalogue.ts'
import { PAGE_POLICY } from '../../src/server/plugins/page.ts'
import { guarded } from './access/guarded.ts'
import { harness, isProblem, model } from './support.ts'

const HTML = { accept: 'text/html,*/*' }
const SCRIPT = 'console.log("the page")\n'.repeat(100)

/** A bundle as the build makes it. */
async function bundle(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'polyveil-page-'))
  t.teardown(() => rm(directory, { recursive: true }))
  await mkdir(join(directory, 'assets/samples'), { recursive: true })
  await writeFile(join(directory, 'index.html'), '<!doctype html><title>The page</title>')
  await writeFile(join(directory, 'assets/index-a1.js'), SCRIPT)
  await writeFile(join(directory, 'assets/index-a1.js.gz'), gzipSync(SCRIPT))
  await writeFile(join(directory, 'assets/samples/samples.json'), '{}')
  await writeFile(join(directory, 'secret.txt'), 'not a file of the page')
  return directory
}

t.test('the page and its files have a policy that allows this service alone', async (t) => {
  const h = await harness(t, { page: await bundle(t as Test) })
  const page = await h.inject({ url: '/', headers: HTML })
  t.match(page, { statusCode: 200, headers: { 'content-type': /^text\/html/, 'cache-control': 'no-cache' } })
  t.match(page.body, 'The page')
  const script = await h.inject({ url: '/assets/index-a1.js' })
  t.match(script, { statusCode: 200, headers: { 'content-type': /javascript/ } })
  t.equal(script.body, SCRIPT)
  for (const { headers } of [page, script]) {
    t.equal(headers['content-security-policy'], PAGE_POLICY)
    t.equal(headers['cross-origin-opener-policy'], 'same-origin')
    t.equal(headers['cross-origin-embedder-policy'], 'require-corp')
    t.equal(headers['x-content-type-options'], 'nosniff')
  }
  t.match(PAGE_POLICY, "'wasm-unsafe-eval'")
  t.notMatch(PAGE_POLICY, /'unsafe-|https?:|\*/)
  t.match(script.headers['cache-control'], 'immutable', 'its name changes with its contents')
  const samples = await h.inject({ url: '/assets/samples/samples.json' })
  t.notMatch(samples.headers['cache-control'], 'immutable', 'samples keep their names')
})

t.test('browsers that take compressed files get them', async (t) => {
  const h = await harness(t, { page: await bundle(t as Test) })
  const headers = { 'accept-encoding': 'gzip' }
  const { headers: got, rawPayload } = await h.inject({ url: '/assets/index-a1.js', headers })
  t.equal(got['content-encoding'], 'gzip')
  t.equal(rawPayload.length, gzipSync(SCRIPT).length)
})

t.test('programs get JSON, and other paths are not served', async (t) => {
  const h = await harness(t, { page: await bundle(t as Test) })
  t.match((await h.inject({ url: '/' })).json(), { name: 'polyveil', documentation: 'docs' })
  for (const url of [
    '/secret.txt',
    '/index.html',
    '/assets/',
    '/assets/nothing.js',
    '/assets/../secret.txt',
    '/assets/%2e%2e/secret.txt',
    '/assets/..%2fsecret.txt',
    '/assets/index-a1.js%00',
  ]) {
    const { statusCode, body } = await h.inject({ url, headers: HTML })
    t.ok([400, 404].includes(statusCode), url)
    t.notMatch(body, 'not a file of the page')
  }
  isProblem(t, await h.inject({ method: 'POST', url: '/assets/index-a1.js' }), 405, 'CONFIG_INVALID')
  const { paths } = (await h.inject({ url: '/openapi.json' })).json()
  t.strictSame(
    Object.keys(paths).filter((path) => path.startsWith('/assets') || path === '/'),
    [],
    'files of the page are no part of the API',
  )
})

t.test('without a page the service describes itself', async (t) => {
  const h = await harness(t)
  const { headers, body } = await h.inject({ url: '/', headers: HTML })
  t.match(headers['content-security-policy'], "default-src 'none'")
  t.match(body, 'Models: <code>small</code>')
  isProblem(t, await h.inject({ url: '/assets/index-a1.js' }), 404, 'CONFIG_INVALID')
})

t.test('the page needs no token, and what it asks for does', async (t) => {
  const { h } = await guarded(t as Test, [{ tenant: 'clinic' }], { page: await bundle(t as Test) })
  const { inject } = h
  t.equal((await inject({ url: '/', headers: HTML })).statusCode, 200)
  t.equal((await inject({ url: '/assets/index-a1.js' })).statusCode, 200)
  isProblem(t, await inject({ url: '/v2/models' }), 401, 'UNAUTHENTICATED')
  isProblem(t, await inject({ url: '/v2/models/small/plan' }), 401, 'UNAUTHENTICATED')
})

t.test('the plan of a model is there when its operator has put it beside the circuit', async (t) => {
  const directory = t.testdir({ 'small.pvc': 'a circuit' })
  const path = join(directory, 'small.pvc')
  const h = await harness(t, { models: new ModelCatalogue([{ ...model, path }]) })
  const plan = { url: '/v2/models/small/plan' }
  t.equal((await h.inject({ url: '/v2/models/small' })).json().parameters.plan, false)
  isProblem(t, await h.inject(plan), 404, 'MODEL_UNKNOWN', { detail: /plan of model small is not published/ })
  await writeFile(join(directory, 'small.html'), '<!DOCTYPE html><p>Grüße</p>')
  t.equal((await h.inject({ url: '/v2/models/small' })).json().parameters.plan, true)
  const { statusCode, headers, body } = await h.inject(plan)
  t.equal(statusCode, 200)
  t.equal(headers['content-type'], 'text/html; charset=utf-8')
  t.match(headers['content-security-policy'], /^default-src 'none'; style-src 'unsafe-inline'/)
  t.match(body, 'Grüße')
  isProblem(t, await h.inject({ url: '/v2/models/other/plan' }), 404, 'MODEL_UNKNOWN')
})
