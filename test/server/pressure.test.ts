import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { harness, isProblem } from './support.ts'

t.test('a server under load refuses requests, and answers probes and metrics', async (t) => {
  const h = await harness(t, { security: { maxEventLoopDelayMs: 1 } })
  const models = () => h.inject({ url: '/v2/models' })
  t.equal((await models()).statusCode, 200)
  // The delay is measured each second.
  while ((await models()).statusCode === 200) {
    const end = performance.now() + 300
    while (performance.now() < end);
    await sleep(1)
  }
  for (const url of ['/v2/health/live', '/v2/health/ready', '/metrics']) {
    t.equal((await h.inject({ url })).statusCode, 200, url)
  }
  isProblem(t, await models(), 503, 'TOO_BUSY')
})
