import t from 'tap'
import { needsRedis } from '../../support/redis.ts'
import { StepClient } from '../refreshed-service.ts'
import { TestCluster } from './cluster.ts'

const ASYNC = { prefer: 'respond-async' }

t.test('an inference with rounds is answered wherever its requests arrive', needsRedis, async (t) => {
  const cluster = await TestCluster.start(t)
  const fronts = [await cluster.front(), await cluster.front()]
  await cluster.worker()
  const client = await StepClient.create(fronts[0].url)
  const other = client.at(fronts[1].url)
  const first = await client.begin('mine')
  t.equal(first.status, 200)
  t.match((await other.own('GET', 'v2/inferences/mine')).json, { id: 'mine', state: 'refresh', rounds: 2 })
  const reply = await client.model.refresh(0, first.frame)
  const second = await other.round('mine', 0, reply)
  t.equal(second.status, 200)
  const repeated = await client.round('mine', 0, reply)
  t.ok(repeated.bytes.equals(second.bytes), 'the same reply gets the same bytes')
  t.equal(
    (
      await client.round(
        'mine',
        0,
        reply.map((byte) => byte ^ 1),
      )
    ).status,
    409,
  )
  t.ok((await client.finish(second)) < 1e-3)
  t.match((await other.own('GET', 'v2/inferences/mine')).json, { state: 'done', round: 2 })
  const again = await client.begin('mine', undefined, ASYNC)
  t.equal(again.status, 202)
  const output = await other.output('mine', 0)
  t.equal(output.status, 200)
  t.ok((await other.finish(output)) < 1e-3, 'an asynchronous one, too')
})
