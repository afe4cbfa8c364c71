import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { InferenceRecords } from '../../../src/server/cluster/queue/inference-records.ts'
import { nameOf } from '../../../src/server/stores/key-store.ts'
import { needsRedis } from '../../support/redis.ts'
import { StepClient } from '../refreshed-service.ts'
import { TestCluster } from './cluster.ts'
import { WorkerProcess } from './processes.ts'

/** Waits until a worker has taken an inference. */
async function untilTaken(cluster: TestCluster, client: StepClient, id: string): Promise<void> {
  const redis = cluster.redis.connect()
  const name = InferenceRecords.nameOf({ keySet: nameOf(client.keySet) }, id)
  while (!(await redis.get(`polyveil:inference:${name}`))?.includes('"worker"')) await sleep(1)
  redis.disconnect()
}

t.test('an inference without an output begins again, when its worker is killed', needsRedis, async (t) => {
  const cluster = await TestCluster.start(t)
  const front = await cluster.front()
  const first = await WorkerProcess.start(t, cluster.settings)
  const client = await StepClient.create(front.url)
  const answer = client.begin('mine')
  await untilTaken(cluster, client, 'mine')
  first.stop()
  const second = await WorkerProcess.start(t, cluster.settings)
  await first.kill()
  const said = await answer
  t.equal(said.status, 200)
  t.ok((await client.finish(said)) < 1e-3)
  t.equal(await second.end(), 0)
})

t.test(
  'an inference with an output is answered clearly, when its worker is killed',
  needsRedis,
  async (t) => {
    const cluster = await TestCluster.start(t)
    const front = await cluster.front()
    const first = await WorkerProcess.start(t, cluster.settings)
    const client = await StepClient.create(front.url)
    const said = await client.begin('mine')
    t.equal(said.status, 200)
    await first.kill()
    await WorkerProcess.start(t, cluster.settings)
    const lost = await client.answer(said)
    t.equal(lost.status, 503)
    t.match(lost.json, { code: 'WORKER_LOST' })
    t.ok((await client.classify()) < 1e-3, 'the next one is answered')
  },
)
