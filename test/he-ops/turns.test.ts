import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { ExecutionStopped } from '../../src/he-ops/executor.ts'
import { Turns } from '../../src/he-ops/turns.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Work that ends when it is told to. */
function pending<T>() {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  let begun = false
  const work = (): Promise<T> => {
    begun = true
    return promise
  }
  return { work, resolve, reject, begun: () => begun }
}

const soon = () => new Promise(setImmediate)

t.test('work runs one after another, also after work that has failed', async (t) => {
  const turns = new Turns()
  const [first, second] = [pending<number>(), pending<number>()]
  const results = [turns.take(first.work), turns.take(second.work), turns.take(async () => 3)]
  await soon()
  t.strictSame([first.begun(), second.begun()], [true, false])
  first.reject(new Error('failed'))
  await t.rejects(results[0], { message: 'failed' })
  await soon()
  t.ok(second.begun())
  second.resolve(2)
  t.strictSame(await Promise.all(results.slice(1)), [2, 3])
})

t.test('work that is stopped while it waits ends at once, and never begins', async (t) => {
  const turns = new Turns()
  const first = pending<number>()
  const running = turns.take(first.work)
  const stop = Promise.withResolvers<void>()
  let stopped = false
  const waiting = pending<number>()
  const left = turns.take(waiting.work, { shouldStop: () => stopped, stopped: stop.promise })
  const after = turns.take(async () => 'after')
  stopped = true
  stop.resolve()
  await t.rejects(left, ExecutionStopped)
  t.notOk(waiting.begun())
  first.resolve(1)
  t.equal(await running, 1)
  t.equal(await after, 'after')
})

t.test('results are not kept in memory', async (t) => {
  const turns = new Turns()
  const results: WeakRef<object>[] = []
  const run = async (): Promise<void> => {
    results.push(new WeakRef(await turns.take(async () => ({ frame: new Uint8Array(1000) }))))
  }
  for (let i = 0; i < 20; i++) await run()
  await soon()
  collect()
  // The last one may still be on the stack of an async function.
  t.strictSame(
    results.slice(0, -1).filter((result) => result.deref()),
    [],
  )
})
