import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MessageChannel } from 'node:worker_threads'
import t from 'tap'
import type { InferTask } from '../../../src/server/worker/messages.ts'
import { refreshOver } from '../../../src/server/worker/refresh.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** The worker's end of a message channel, and the port of the other end. */
function conversation() {
  const { port1, port2 } = new MessageChannel()
  const stop = new SharedArrayBuffer(4)
  return { port: port1, client: refreshOver({ port: port2, stop } as unknown as InferTask) }
}

t.test('a worker keeps no frames of earlier rounds while the inference continues', async (t) => {
  const { port, client } = conversation()
  const frames: WeakRef<Uint8Array>[] = []
  port.on('message', ({ kind, round }) => {
    if (kind === 'refresh') port.postMessage({ round, refreshed: new Uint8Array(1000) })
  })
  for (let round = 0; round < 10; round++) {
    await client(round, new Uint8Array(8), async (refreshed) => void frames.push(new WeakRef(refreshed)))
  }
  for (let attempt = 0; attempt < 5; attempt++) {
    await sleep(1)
    collect()
  }
  // The channel may still hold the last frame.
  t.equal(frames.slice(0, -1).filter((frame) => frame.deref()).length, 0)
  port.close()
})

t.test('a wait for a reply rejects when the port is closed', async (t) => {
  const { port, client } = conversation()
  const waiting = client(0, new Uint8Array(8), async () => {})
  await once(port, 'message')
  port.close()
  await t.rejects(waiting, { name: 'ExecutionStopped' })
})
