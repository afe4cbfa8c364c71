import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { ReplyCache } from '../../src/server/inference/reply-cache.ts'
import { RoundMailbox } from '../../src/server/inference/round-mailbox.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const COUNT = 10

/**
 * Rounds of an inference whose outputs are a kilobyte each, the outputs that were made, and what was reported
 * of rounds that wait and of those that are over.
 */
function inference(cache: ReplyCache) {
  const made: WeakRef<Buffer>[] = []
  const reports: [waiting: number, over: number][] = []
  const rounds = new RoundMailbox({
    rounds: COUNT,
    encode() {
      const body = Buffer.alloc(1000)
      made.push(new WeakRef(body))
      return { jsonBytes: 0, body }
    },
    onWaiting: (...report) => reports.push(report),
    cache,
  })
  return { rounds, made, reports }
}

/** A round as both sides see it. */
async function pass(rounds: RoundMailbox, round: number): Promise<void> {
  const over = rounds.client(round, new Uint8Array(8), async () => {})
  await rounds.wait(round)
  await rounds.reply(round, new Uint8Array([round]))
  await over
}

t.test('what went out in rounds that are over is held no longer than there is room', async (t) => {
  const { rounds, made } = inference(new ReplyCache(0))
  rounds.begin(new Promise(() => {})).catch(() => {})
  for (let round = 0; round < COUNT; round++) await pass(rounds, round)
  for (let attempt = 0; attempt < 5; attempt++) {
    await sleep(1)
    collect()
  }
  // The first is the answer to the query, whose promise may live; the last may still be on its way out.
  t.equal(made.slice(1, -1).filter((body) => body.deref()).length, 0)
  await t.rejects(async () => rounds.wait(3), { code: 'CONFIG_INVALID', message: /not kept/ })
})

t.test('a round waits for its client until the reply is accepted, and no longer', async (t) => {
  const { rounds, reports } = inference(new ReplyCache(0))
  rounds.begin(new Promise(() => {})).catch(() => {})
  // Clients are expected while a round waits: one that is over must not count while the engine computes.
  await pass(rounds, 0)
  t.strictSame(reports, [
    [1, 0],
    [0, 1],
  ])
  let refuse = true
  const over = rounds.client(1, new Uint8Array(8), async () => {
    if (refuse) throw new Error('not a tensor')
  })
  await t.rejects(rounds.reply(1, Uint8Array.of(1)), { message: 'not a tensor' })
  t.strictSame(reports.slice(2), [[1, 1]], 'it waits on when a reply is refused')
  refuse = false
  await rounds.reply(1, Uint8Array.of(2))
  await over
  t.strictSame(reports.slice(3), [[0, 2]])
})

t.test('when the engine fails, what is waited for fails, and what is asked for later', async (t) => {
  const { rounds } = inference(new ReplyCache(0))
  const { promise, reject } = Promise.withResolvers<Uint8Array>()
  const query = rounds.begin(promise)
  const next = rounds.wait(1)
  for (const waiting of [query, next]) waiting.catch(() => {})
  // The first listener of the failure may clear the mailbox.
  rounds.clear()
  reject(new Error('the engine is gone'))
  for (const waiting of [query, next]) await t.rejects(waiting, { message: /gone/ })
  await t.rejects(rounds.wait(2), { message: /gone/ })
})
