import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { ReplyCache } from '../../src/server/inference/reply-cache.ts'
import { RoundMailbox } from '../../src/server/inference/round-mailbox.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const COUNT = 10

/** Rounds of an inference whose outputs are a kilobyte each, and the outputs that were made. */
function inference(cache: ReplyCache) {
  const made: WeakRef<Buffer>[] = []
  const rounds = new RoundMailbox({
    rounds: COUNT,
    encode() {
      const body = Buffer.alloc(1000)
      made.push(new WeakRef(body))
      return { jsonBytes: 0, body }
    },
    onWaiting() {},
    cache,
  })
  return { rounds, made }
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
