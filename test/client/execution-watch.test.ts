import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type ClientProgress, connect, memoryKeyStore } from '../../src/client/index.ts'
import { FakeServer, honestSlots, ORIGIN } from './fake-server.ts'

const MODEL = 'toy-model'
const image = { width: 3, height: 5, channels: 1 as const, data: new Uint8Array(15).fill(9) }

/** A server that answers a query only when the client has looked at the inference often enough. */
async function watched(looks: readonly (object | number)[], watch: boolean) {
  const server = new FakeServer()
  server.slots = honestSlots([0.5, -3, 12.25, 12.5, -40])
  const seen = Promise.withResolvers<void>()
  let asked = 0
  const send: typeof fetch = async (input, init) => {
    const path = new URL(String(input)).pathname
    if (path.endsWith('/infer') && watch) {
      const answer = await server.fetch(input, init)
      await seen.promise
      return answer
    }
    if (!path.includes('/v2/inferences/')) return server.fetch(input, init)
    const look = looks[Math.min(asked++, looks.length - 1)]
    if (asked >= looks.length) seen.resolve()
    if (typeof look === 'number') return new Response('{}', { status: look })
    return Response.json(look)
  }
  const progress: ClientProgress[] = []
  using polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: send })
  const [best] = await polyveil.classify(MODEL, image, { watch, onProgress: (state) => progress.push(state) })
  const asked1 = asked
  await sleep(600)
  return {
    best,
    operations: progress.flatMap(({ operations }) => operations ?? []),
    asked: asked1,
    later: asked - asked1,
  }
}

const state = (done: number, total: number) => ({ state: 'running', done, total, round: 0, rounds: 0 })

t.test('a watching client reports the operations that the server has done', async (t) => {
  const looks = [404, state(0, 0), state(3, 10), state(3, 10), 500, { done: 'many' }, state(7, 10)]
  const { best, operations, asked, later } = await watched(looks, true)
  t.equal(best.label, 'three')
  t.strictSame(operations, [
    { done: 3, total: 10 },
    { done: 7, total: 10 },
  ])
  t.ok(asked >= looks.length)
  t.equal(later, 0, 'it does not ask when the answer is there')
})

t.test('a client does not ask for operations unless it is told to', async (t) => {
  const { best, operations, asked } = await watched([state(1, 2)], false)
  t.equal(best.label, 'three')
  t.strictSame([operations, asked], [[], 0])
})
