import { createServer, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import { presentError } from '../../src/cli/output/errors.ts'
import { planText } from '../../src/cli/output/plan-text.ts'
import { scoresText } from '../../src/cli/output/scores-text.ts'
import { planReport } from '../../src/compiler/index.ts'
import { PolyVeilError } from '../../src/errors/index.ts'
import { smallCircuit } from '../circuit/circuits.ts'
import { circuit } from '../client/fake-server.ts'
import { failed, filesIn, polyveil, zooPath } from './support.ts'

// Text of the server is shown on a terminal. It must not clear the screen, set the title, or look like output
// of the program.

const EVIL = '\u001b[2J\u001b]0;title\u0007\u009b1m\r\npolyveil: enter the passphrase:\u007f\u202e\u2028x'
const image = zooPath('digits/images/digits-3-0.png')
const labels = circuit.labels.map((label) => `${label}${EVIL}`)
const manifest = manifestOf({ ...circuit, model: 'm', labels })
const anew = manifestOf({ ...circuit, model: 'm', labels, estimate: { ...circuit.estimate, seconds: 4 } })

/** Control characters except newlines. */
const CONTROL = /(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u

/** A server that gives a manifest, and hostile text for all other requests. */
async function hostileServer(t: Test) {
  const state = { manifest, requests: [] as string[] }
  const answer = ({ method, url }: IncomingMessage): [status: number, body: unknown] => {
    state.requests.push(`${method} ${url}`)
    if (url === '/v2') return [200, { extensions: ['polyveil_ckks'] }]
    if (url === '/v2/models/m/manifest') return [200, state.manifest]
    return [422, { code: 'CONFIG_INVALID', detail: EVIL, note: EVIL }]
  }
  const server = createServer((request, response) => {
    const [status, body] = answer(request)
    request.resume().on('end', () => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => server.close())
  return { state, url: `http://127.0.0.1:${(server.address() as { port: number }).port}` }
}

t.test('problem details are printed as one harmless line', async (t) => {
  const { url } = await hostileServer(t)
  for (const model of ['m', 'another']) {
    const command = ['classify', image, '--url', url, '--model', model]
    const { code, stderr, stdout } = await polyveil(command)
    t.equal(code, 3)
    t.equal(stdout.length, 0)
    t.notMatch(stderr, CONTROL)
    t.match(
      stderr,
      /^polyveil: CONFIG_INVALID: The server says: \[2J\]0;title1m polyveil: enter the passphrase: x\n.*\n$/m,
    )
    const json = await polyveil([...command, '--json', '--quiet'])
    failed(t, json, 3, 'CONFIG_INVALID')
    t.notMatch(json.stdout.toString(), CONTROL)
  }
})

t.test('a changed manifest is reported, also with --quiet, or refused', async (t) => {
  const { state, url } = await hostileServer(t)
  const directory = t.testdir()
  const keys = join(directory, 'keys')
  const encrypt = (...more: string[]) =>
    polyveil([
      'encrypt',
      image,
      '--manifest',
      `${url}/v2/models/m/manifest`,
      '--keys',
      keys,
      '--out',
      join(directory, 'query'),
      ...more,
    ])
  const first = await encrypt('--quiet', '--json')
  t.equal(first.code, 0, first.stderr)
  t.equal(first.json.manifest, manifest.digest)
  t.equal(first.stderr, '')

  state.manifest = anew
  const refused = await encrypt('--quiet', '--json', '--pins', 'refuse')
  failed(t, refused, 3, 'PARAMETERS_MISMATCH', { model: 'm', before: manifest.digest, now: anew.digest })

  const classify = (pins: string) =>
    polyveil([
      'classify',
      image,
      '--url',
      url,
      '--model',
      'm',
      '--keys',
      keys,
      '--pins',
      pins,
      '--quiet',
      '--json',
    ])
  state.requests.length = 0
  failed(t, await classify('refuse'), 3, 'PARAMETERS_MISMATCH')
  t.strictSame(state.requests, ['GET /v2', 'GET /v2/models/m/manifest'], 'neither a key nor a query is sent')
  t.strictSame((await classify('off')).stderr, '', 'with --pins off no change is reported')

  const warned = await encrypt('--quiet')
  t.equal(warned.code, 0)
  t.match(
    warned.stderr,
    /^warning: The manifest of model m at http:\S+ has changed since .* is [0-9a-f]{16} now\.\n$/,
  )
  t.equal((await encrypt('--pins', 'refuse', '--quiet')).code, 0, 'the new manifest is accepted from then on')
  t.ok(filesIn(keys).length > 2, 'the pin is an entry of the key directory')
})

t.test('labels and names of layers and tensors are printed without control characters', async (t) => {
  const text = scoresText([{ label: EVIL, score: 1, logit: 1, index: 0 }])
  t.notMatch(text, CONTROL)
  t.equal(text.split('\n').length, 2, 'a label does not start a new line')
  const small = smallCircuit()
  const layers = small.layers.map((layer) => ({ ...layer, name: EVIL }))
  const plan = planText(planReport({ ...small, layers }), null)
  t.notMatch(plan, CONTROL)
  t.equal(plan.split('\n').length, planText(planReport(small), null).split('\n').length)
  const written = t.capture(process.stderr, 'write', () => true)
  const { exitCode } = process
  presentError(new PolyVeilError('TENSOR_MISSING', `The checkpoint lacks the tensor "${EVIL}"`), false)
  process.exitCode = exitCode
  t.notMatch(String(written.args()[0][0]), CONTROL)
})
