import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connect, directoryKeyStore } from '../../src/client/index.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { startService } from './service.ts'
import { polyveil, zooPath } from './support.ts'

// The command line prints logits rounded to the plan's precision. It prints them as decrypted only on
// request.

const IMAGE = zooPath('digits/images/digits-3-0.png')
const QUIET = ['--json', '--quiet']
const directory = t.testdir()
const models = join(directory, 'models')
await writeDigitsOfFewKeys(models)
const service = await startService(join(directory, 'data'), '--models', models)
t.teardown(() => service.stop())
const manifest = `${service.url}/v2/models/digits/manifest`
const { output } = (await (await fetch(manifest)).json()) as { output: { precision: number } }
const keys = ['--keys', join(directory, 'keys')]

interface Scored {
  readonly label: string
  readonly score: number
  readonly logit: number
}

const isRounded = ({ logit }: Scored): boolean => Number.isInteger(logit / output.precision)

/** Whether the scores are those of the logits that are shown. */
function agree(classes: readonly Scored[]): boolean {
  const [best] = classes
  return classes.every(
    ({ score, logit }) => Math.abs(score / best.score - Math.exp(logit - best.logit)) < 1e-9,
  )
}

t.test('classify rounds logits unless --full-precision is set', async (t) => {
  const classify = async (...flags: string[]): Promise<Scored[]> => {
    const args = ['--url', service.url, '--model', 'digits', '--top', '10', ...keys]
    return (await polyveil(['classify', IMAGE, ...args, ...flags, ...QUIET])).json.images[0].classes
  }
  const rounded = await classify()
  t.equal(rounded.length, 10)
  t.ok(rounded.every(isRounded), 'all logits are multiples of the precision')
  t.ok(agree(rounded))
  const full = await classify('--full-precision')
  t.notOk(full.some(isRounded), 'no logit is a multiple of the precision')
  t.ok(agree(full))
  t.equal(full[0].label, rounded[0].label)
})

t.test('decrypt rounds logits unless --full-precision is set', async (t) => {
  const local = ['--manifest', manifest, ...keys]
  const [query, answer] = [join(directory, 'query'), join(directory, 'answer')]
  await polyveil(['encrypt', IMAGE, ...local, '--out', query, '--quiet'])
  writeFileSync(answer, await inferred(query))
  const decrypt = async (...flags: string[]): Promise<Scored[]> =>
    (await polyveil(['decrypt', answer, '--top', '10', ...local, ...flags, ...QUIET])).json.classes
  const [rounded, full] = [await decrypt(), await decrypt('--full-precision')]
  t.ok(rounded.every(isRounded))
  t.notOk(full.some(isRounded))
  for (const { label, logit } of rounded) {
    const exact = full.find((one) => one.label === label)!.logit
    t.ok(Math.abs(exact - logit) <= output.precision / 2, `${label}: rounded to the nearest multiple`)
  }
})

/** The service's answer to a query, through the SDK with the keys of the command line. */
async function inferred(query: string): Promise<Uint8Array> {
  await using connection = await connect(service.url, { keys: directoryKeyStore(join(directory, 'keys')) })
  return connection.infer('digits', readFileSync(query))
}
