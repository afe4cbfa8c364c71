import { createServer } from 'node:http'
import t from 'tap'
import { failed, goldenOf, goldenPath, polyveil, sourceOf, zooPath } from './support.ts'

const image = zooPath('digits/images/digits-3-0.png')
const QUIET = ['--json', '--quiet']

t.test('wrong usage has exit code 2 and a message', async (t) => {
  const wrong: [args: string[], message: RegExp][] = [
    [['modles'], /unknown command 'modles'[\s\S]*Did you mean models/],
    [['models', '--jsom'], /unknown option '--jsom'/],
    [['models', 'more'], /too many arguments/],
    [['check'], /missing required argument 'checkpoint'/],
    [['check', goldenPath('one_shot.pt')], /Exactly one of --arch NAME and --config FILE/],
    [['check', ...sourceOf('one_shot'), '--arch', 'lowres'], /Exactly one of --arch NAME and --config FILE/],
    [['compile', ...sourceOf('one_shot')], /Either --out FILE\.pvc or --dry-run/],
    [
      ['compile', ...sourceOf('one_shot'), '--dry-run', '--ring', '4096'],
      /Allowed choices are auto, 8192, 16384/,
    ],
    [['compile', ...sourceOf('one_shot'), '--dry-run', '--precision', 'ten'], /whole number from 4 to 30/],
    [['compile', ...sourceOf('one_shot'), '--dry-run', '--objective', 'beauty'], /latency, traffic, keys/],
    [['compile', ...sourceOf('one_shot'), '--dry-run', '--network', 'fast'], /20,100/],
    [['inspect'], /missing required argument 'file'/],
    [['verify', 'x.pvc'], /required option '--golden <file>'/],
    [['verify', 'x.pvc', ...goldenOf('one_shot'), '--count', '0'], /whole number from 1/],
    [['verify', 'x.pvc', ...goldenOf('one_shot'), '--backend', 'abacus'], /seal, clear/],
    [['serve', '--port', '65536'], /whole number from 0 to 65535/],
    [['classify', '--url', 'http://localhost', '--model', 'm'], /missing required argument 'image'/],
    [['classify', image, '--model', 'm'], /required option '--url <url>'/],
    [['classify', image, '--url', 'http://localhost', '--model', 'm', '--top', '0'], /whole number from 1/],
    [['keygen', 'm.json', '--keys', 'k'], /required option '--out <file>'/],
    [['encrypt', image, '--manifest', 'm.json'], /required option '--keys <dir>'/],
    [['encrypt', image, '--manifest', 'm.json', '--keys', 'k'], /binary/],
    [['decrypt', '--keys', 'k'], /required option '--manifest/],
  ]
  for (const [args, message] of wrong) {
    await t.test(args.slice(0, 2).join(' '), async (t) => {
      const ran = await polyveil([...args, ...QUIET])
      failed(t, ran, 2, 'CONFIG_INVALID')
      t.match(ran.json.error.message, message)
    })
  }
})

t.test('without --json an error is two lines on stderr', async (t) => {
  const { code, stdout, stderr } = await polyveil(['modles'])
  t.equal(code, 2)
  t.equal(stdout.length, 0)
  t.match(stderr, /^polyveil: CONFIG_INVALID: unknown command 'modles'\n.*\nTry polyveil --help\.\n$/)
  const none = await polyveil([])
  t.equal(none.code, 2)
  t.match(none.stderr, 'A command is missing')
})

t.test('unreachable servers have exit code 5, other servers exit code 3', async (t) => {
  const classify = (url: string) => polyveil(['classify', image, '--url', url, '--model', 'digits', ...QUIET])
  const server = createServer((_request, response) => response.end('<html>')).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const url = `http://127.0.0.1:${port}`
  failed(t, await classify(url), 3, 'CONFIG_INVALID', { origin: url })
  await new Promise((resolve) => server.close(resolve))
  failed(t, await classify(url), 5, 'SERVER_UNREACHABLE', { origin: url })
  failed(t, await classify('ftp://127.0.0.1'), 3, 'CONFIG_INVALID')
  const shown = await polyveil(['classify', image, '--url', url, '--model', 'digits', '--quiet'])
  t.match(shown.stderr, /^polyveil: SERVER_UNREACHABLE: .*\n.*then try again\.\n$/)
})
