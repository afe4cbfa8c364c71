import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connect, memoryKeyStore } from '../../src/client/index.ts'
import { startService } from './service.ts'
import { zooPath } from './support.ts'

// The noise on an answer's logits is a function of the query: a query that is sent again uncovers nothing of
// it, and the same image in another query has other noise.

const MODEL = 'digits'
const service = await startService(join(t.testdir(), 'data'))
t.teardown(() => service.stop())
const client = await connect(service.url, { keys: memoryKeyStore() })
const { output } = await client.manifest(MODEL)
const image = readFileSync(zooPath('digits/images/digits-3-0.png'))

const answer = async (query: Uint8Array): Promise<Float64Array> =>
  client.decrypt(MODEL, await client.infer(MODEL, query), { fullPrecision: true })

/** Root of the mean square of what two answers differ by. */
function apart(one: Float64Array, other: Float64Array): number {
  const squares = one.map((logit, i) => (logit - other[i]) ** 2)
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / one.length)
}

t.test(
  'a query that is sent again has the same noise, and a new one of the same image other noise',
  async (t) => {
    t.teardown(() => client.close())
    const query = await client.encrypt(MODEL, image)
    const first = await answer(query)
    const again = apart(first, await answer(query))
    const anew = apart(first, await answer(await client.encrypt(MODEL, image)))
    t.ok(anew > output.flooding / 3, `anew: ${anew}`)
    t.ok(again < anew / 1000, `again: ${again}, anew: ${anew}`)
  },
)
