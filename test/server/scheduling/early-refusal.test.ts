import { request } from 'node:http'
import t from 'tap'
import { harness, query, untilCancelled, uploadKeys } from '../support.ts'

/** The status that answers a query whose body never comes. */
function statusWithoutBody(url: string, headers: Record<string, string>): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
  const sent = request(`${url}/v2/models/small/infer`, { method: 'POST', headers })
  sent.on('response', (answer) => {
    resolve(answer.statusCode)
    sent.destroy()
  })
  sent.on('error', reject)
  sent.flushHeaders()
  return promise
}

t.test('a full service refuses a query before its body', async (t) => {
  const h = await harness(t, { lanes: 1, scheduling: { placesPerLane: 1, queue: 0 } })
  const keys = await uploadKeys(h)
  h.engine.work = untilCancelled
  const url = await h.app.listen({ port: 0, host: '127.0.0.1' })
  const { headers } = query(keys)
  const announced = { ...(headers as Record<string, string>), 'content-length': '100000' }
  const running = h.inject(query(keys, { header: { id: 'running' } }))
  while (h.engine.jobs.length === 0) await new Promise(setImmediate)
  t.equal(await statusWithoutBody(url, announced), 503)
  await h.inject({
    method: 'DELETE',
    url: '/v2/inferences/running',
    headers: { 'polyveil-key-set': keys },
  })
  t.equal((await running).statusCode, 409)
  h.engine.work = async () => new Uint8Array(3)
  t.equal((await h.inject(query(keys))).statusCode, 200)
})
