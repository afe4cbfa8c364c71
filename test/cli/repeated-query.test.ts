import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connect, memoryKeyStore } from '../../src/client/index.ts'
import { startService } from './service.ts'
import { zooPath } from './support.ts'

// The noise on the logits of an answer is a function of the query. A repeated query therefore reveals no more
// about it, and another query of the same image has other noise.

const MODEL = 'digits'
const service = await startService(join(t.testdir(), 'data'))
t.teardown(() => service.stop())
const client = await connect(service.url, { keys: memoryKeyStore() })
const { output } = await client.manifest(MODEL)
const image = readFileSync(zooPath('digits/images/digits-3-0.png'))

const answer = async (query: Uint8Array): Promise<Float64Array> =>
  client.decrypt(MODEL, await client.infer(MODEL, query), { fullPrecision: true })

/** Root mean square of the differences between two answers. */
function apart(one: Float64Array, other: Float64Array): number {
  const squares = one.map((logit, i) => (logit - other[i]) ** 2)
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / one.length)
}

t.test('a repeated query has the same noise, and a new query of the same image other noise', async (t) => {
  t.teardown(() => client.close())
  const query = await client.encrypt(MODEL, image)
  const first = await answer(query)
  const again = apart(first, await answer(query))
  const anew = apart(first, await answer(await client.encrypt(MODEL, image)))
  t.ok(anew > output.flooding / 3, `difference of a new query: ${anew}`)
  t.ok(again < anew / 1000, `difference of the same query: ${again}, of a new one: ${anew}`)
})
