import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { harness, isProblem } from './support.ts'

/** Blocks the event loop. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

t.test(
  'a server whose event loop stands still refuses requests, and answers probes and metrics',
  async (t) => {
    const h = await harness(t, { security: { maxEventLoopDelayMs: 150 } })
    const models = () => h.inject({ url: '/v2/models' })
    t.equal((await models()).statusCode, 200)
    // One long delay among many short ones, whose mean is far below the limit. The delay is looked at each
    // second, and a loaded machine may need some of them.
    while ((await models()).statusCode === 200) {
      block(400)
      for (let i = 0; i < 60; i++) await sleep(10)
    }
    for (const url of ['/v2/health/live', '/v2/health/ready', '/metrics']) {
      t.equal((await h.inject({ url })).statusCode, 200, url)
    }
    const refused = await models()
    isProblem(t, refused, 503, 'TOO_BUSY')
    t.equal(refused.headers['retry-after'], '1')
    while ((await models()).statusCode !== 200) await sleep(100)
    t.pass('it goes on by itself')
  },
)

t.test('0 never refuses', async (t) => {
  const h = await harness(t, { security: { maxEventLoopDelayMs: 0 } })
  block(1200)
  await sleep(1100)
  t.equal((await h.inject({ url: '/v2/models' })).statusCode, 200)
})
