import { createServer } from 'node:http'
import { type AddressInfo, createServer as createSocketServer, type Server } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { shownUrl } from '../../src/cli/input/server.ts'
import { page, proxy } from '../client/proxies.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { startService } from './service.ts'
import { failed, polyveil, zooPath } from './support.ts'

// Errors of `polyveil` for addresses that are not a PolyVeil service, and access through a proxy that
// requires credentials.

const QUIET = ['--json', '--quiet']
const image = zooPath('digits/images/digits-3-0.png')
const classify = (url: string, ...flags: string[]) =>
  polyveil(['classify', image, '--url', url, '--model', 'none', ...QUIET, ...flags])

async function listening(t: Test, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('the address of another service is not reported as a fault of PolyVeil', async (t) => {
  const html = createServer((_request, response) => page(response, 404, 'Not Found'))
  failed(t, await classify(await listening(t, html)), 3, 'CONFIG_INVALID', { status: 404 })
  const json = createServer((_request, response) => {
    response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"no such thing"}')
  })
  const ran = await classify(await listening(t, json))
  failed(t, ran, 3, 'CONFIG_INVALID', { status: 404 })
  t.match(ran.json.error, {
    message: /status 404, application\/json\) is not what a PolyVeil server gives/,
    remedy: /prefix/,
  })
  const moved = createServer((_request, response) =>
    response.writeHead(301, { location: '/elsewhere' }).end(),
  )
  failed(t, await classify(await listening(t, moved)), 3, 'CONFIG_INVALID', { status: 301 })
})

t.test('unreachable servers have exit code 5 and a reason', async (t) => {
  failed(t, await classify('http://polyveil.invalid'), 5, 'SERVER_UNREACHABLE', { reason: 'dns' })
  failed(t, await classify('http://127.0.0.1:9'), 5, 'SERVER_UNREACHABLE', { reason: 'port' })
  const gone = createSocketServer()
  const free = await listening(t, gone)
  await new Promise((resolve) => gone.close(resolve))
  failed(t, await classify(free), 5, 'SERVER_UNREACHABLE', { reason: 'refused' })
  const closing = createSocketServer((socket) => socket.destroy())
  failed(t, await classify(await listening(t, closing)), 5, 'SERVER_UNREACHABLE', { reason: 'broken' })
  const plain = createServer((_request, response) => response.end())
  const https = (await listening(t, plain)).replace('http', 'https')
  failed(t, await classify(https), 5, 'SERVER_UNREACHABLE', { reason: 'tls' })
})

t.test('an unknown model is refused with a list of the models of the server', async (t) => {
  const service = await startService(t.testdir())
  t.teardown(() => service.stop())
  const ran = await classify(service.url)
  failed(t, ran, 3, 'MODEL_UNKNOWN', { models: ['clothing', 'digits'] })
  t.match(ran.json.error, { message: /served here; there are clothing, digits$/, remedy: /GET \/v2\/models/ })
  t.notMatch(ran.json.error.remedy, /polyveil models/, 'polyveil models lists only bundled networks')

  await t.test('headers and credentials in the address pass a proxy that requires them', async (t) => {
    const basic = `Basic ${Buffer.from('me:open sesame').toString('base64')}`
    const between = await proxy(t, service.url, ({ headers }, response) => {
      if (headers.authorization === basic || headers['x-token'] === 'open sesame') return false
      page(response, 401, 'Authorization Required')
      return true
    })
    const without = await classify(between.url)
    failed(t, without, 3, 'UNAUTHENTICATED', { status: 401, proxy: 'nginx/1.22.1' })
    t.match(without.json.error.remedy, /--header/)
    const inUrl = between.url.replace('//', '//me:open%20sesame@')
    failed(t, await classify(inUrl), 3, 'MODEL_UNKNOWN')
    failed(
      t,
      await classify(between.url, '--header', 'X-Token: open sesame', '--header', 'X-Other:1'),
      3,
      'MODEL_UNKNOWN',
    )
    for (const secret of [
      ['--header', 'X-Token: close sesame'],
      ['--header', 'X-Token open sesame'],
      ['--header', 'X-Token: open sesame\n'],
    ]) {
      const { stdout } = await classify(between.url, ...secret)
      t.notMatch(stdout.toString(), 'sesame', 'the error does not repeat the header')
    }
    const shown = await polyveil(['classify', image, '--url', inUrl, '--model', 'none'])
    t.match(shown.stderr, `connecting to ${between.url}/`)
    t.notMatch(shown.stderr, /sesame|me:/)
  })
})

t.test('classify prints that an inference is lost and begins again', async (t) => {
  const directory = t.testdir()
  const models = join(directory, 'models')
  await writeDigitsOfFewKeys(models)
  const service = await startService(join(directory, 'data'), '--models', models)
  t.teardown(() => service.stop())
  let losses = 1
  const between = await proxy(t, service.url, ({ url }, response) => {
    if (!url?.endsWith('/infer') || losses-- <= 0) return false
    response.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '0' })
    response.end(JSON.stringify({ code: 'WORKER_LOST', detail: 'gone', status: 503 }))
    return true
  })
  const ran = await polyveil(['classify', image, '--url', between.url, '--model', 'digits', '--json'])
  t.equal(ran.code, 0, ran.stderr)
  const line = `${image}: the inference is lost (WORKER_LOST); beginning again in 0 s (restart 1 of 2 at most)`
  t.equal(ran.stderr.split('\n').filter((each) => each === line).length, 1, ran.stderr)
  t.match(ran.json, { images: [{ classes: Array }] })
})

t.test('malformed headers are wrong usage', async (t) => {
  for (const flags of [['nothing'], [': x'], ['A: 1', 'a: 2'], ['']]) {
    const ran = await classify('http://127.0.0.1:9', ...flags.flatMap((flag) => ['--header', flag]))
    failed(t, ran, 2, 'CONFIG_INVALID')
  }
  failed(t, await classify('http://127.0.0.1:9', '--header', 'Content-Length: 1'), 3, 'CONFIG_INVALID')
})

t.test('addresses are shown without credentials', async (t) => {
  t.equal(shownUrl('https://me:secret@host/a'), 'https://host/a')
  t.equal(shownUrl('https://me:sec ret@ho st'), 'https://ho st')
  t.equal(shownUrl('http://host'), 'http://host')
})
