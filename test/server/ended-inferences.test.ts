import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { harness, query, uploadKeys, watch } from './support.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

t.test('an inference that has ended does not keep its request, nor the body of its query', async (t) => {
  const h = await harness(t as Test)
  const url = await h.app.listen({ port: 0, host: '127.0.0.1' })
  const keys = await uploadKeys(h)
  const requests: WeakRef<object>[] = []
  h.app.server.prependListener('request', (request) => requests.push(new WeakRef(request)))
  const ask = async (id: string): Promise<void> => {
    const { headers, payload } = query(keys, { header: { id } })
    const answer = await fetch(new URL('v2/models/small/infer', url), {
      method: 'POST',
      headers: headers as Record<string, string>,
      body: new Uint8Array(payload as Buffer),
    })
    t.equal(answer.status, 200)
    await answer.arrayBuffer()
  }
  for (let i = 0; i < 10; i++) await ask(`inference-${i}`)
  t.equal(requests.length, 10)
  for (let i = 0; i < 10; i++) {
    t.equal((await h.inject(watch(`inference-${i}`, keys))).statusCode, 200, 'they can still be looked at')
  }
  // The engine of the test keeps what it was given.
  h.engine.jobs.splice(0)
  await new Promise((resolve) => setTimeout(resolve, 20))
  collect()
  // Those of connections that are still open may stay.
  const kept = requests.filter((request) => request.deref()).length
  t.ok(kept <= 3, `${kept} of 10 requests are kept`)
})
