import t, { type Test } from 'tap'
import { InferenceCancelled } from '../../../src/server/inference/engine.ts'
import { Scheduler, type SchedulerOptions } from '../../../src/server/scheduling/scheduler.ts'
import type { Turn, TurnRequest } from '../../../src/server/scheduling/turn.ts'

const OPTIONS: SchedulerOptions = {
  lanes: 1,
  placesPerLane: 1,
  laneBytes: 1000,
  placesPerOwner: Infinity,
  mostPerOwner: Infinity,
  mostPerKeySet: Infinity,
  queue: 100,
  queueSeconds: Infinity,
  silenceMilliseconds: Infinity,
}

interface Change extends Partial<TurnRequest> {
  readonly keySet?: string
  readonly circuit?: string
  readonly program?: number
}

const patient = new AbortController().signal

/** A scheduler, and a log of the inferences that it starts. */
function scheduling(options: Partial<SchedulerOptions>) {
  const scheduler = new Scheduler({ ...OPTIONS, ...options })
  const log: string[] = []
  /** By default each inference is of a key set and a circuit of its own. */
  const take = (name: string, owner: string, change: Change = {}, signal = patient): Promise<Turn> => {
    const { keySet = name, circuit = name, program = 1, ...more } = change
    const session = { keySet, circuit, keys: 0, constants: 0, program }
    const request = { owner, seconds: 1, session, silence: () => 0, evict: () => {}, ...more }
    return scheduler.take(request, signal).then((turn) => {
      log.push(name)
      return turn
    })
  }
  return { scheduler, log, take }
}

const soon = () => new Promise((resolve) => setImmediate(resolve))

/** Ends turns one after another, and lets the next one start each time. */
async function endAll(turns: Promise<Turn>[]): Promise<void> {
  for (const turn of turns) {
    ;(await turn).end()
    await soon()
  }
}

t.test('owners take turns, however many inferences one of them has in the queue', async (t) => {
  const { log, take } = scheduling({})
  const many = ['a1', 'a2', 'a3', 'a4'].map((name) => take(name, 'a'))
  const few = ['b1', 'b2'].map((name) => take(name, 'b'))
  const one = take('c1', 'c')
  await endAll([many[0], few[0], one, many[1], few[1], many[2], many[3]])
  t.strictSame(log, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4'])
})

t.test('the key sets of an owner take turns', async (t) => {
  const { log, take } = scheduling({ lanes: 1 })
  const first = ['a1', 'a2', 'a3'].map((name) => take(name, 'o', { keySet: 'a' }))
  const second = ['b1', 'b2'].map((name) => take(name, 'o', { keySet: 'b' }))
  await endAll([first[0], second[0], first[1], second[1], first[2]])
  t.strictSame(log, ['a1', 'b1', 'a2', 'b2', 'a3'])
})

t.test('shares are of seconds: an owner of long inferences runs fewer', async (t) => {
  const { log, take } = scheduling({})
  const long = ['l1', 'l2'].map((name) => take(name, 'a', { seconds: 3 }))
  const short = ['s1', 's2', 's3', 's4', 's5'].map((name) => take(name, 'b'))
  await endAll([long[0], ...short.slice(0, 3), long[1], ...short.slice(3)])
  t.strictSame(log, ['l1', 's1', 's2', 's3', 'l2', 's4', 's5'])
})

t.test('time that an owner has left unused is not saved up', async (t) => {
  const { log, take } = scheduling({})
  for (let i = 0; i < 10; i++) (await take('a', 'a')).end()
  const running = take('x', 'x')
  const [a1, b1, b2, b3, a2] = ['a1', 'b1', 'b2', 'b3', 'a2'].map((name) => take(name, name[0]))
  await endAll([running, a1, b1, b2, a2, b3])
  t.strictSame(log.slice(-5), ['a1', 'b1', 'b2', 'a2', 'b3'], '`a` owes nothing for its ten turns')
})

t.test('an inference that waits for its client takes no place, and takes one again', async (t) => {
  const { scheduler, log, take } = scheduling({})
  const abandoned = await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      const turn = await take(`held ${i}`, 'a')
      turn.pause()
      return turn
    }),
  )
  t.match(scheduler, { paused: 12, computing: 0, waiting: 0 })
  const other = await take('other', 'b')
  t.equal(log.at(-1), 'other', 'another client is served at once')
  abandoned[0].resume()
  abandoned[0].resume()
  t.match(scheduler, { paused: 11, computing: 2 }, 'an inference with an answer goes on, beyond the places')
  const next = take('next', 'b')
  other.end()
  await soon()
  t.equal(log.at(-1), 'other', 'it counts as computing')
  abandoned[0].end()
  abandoned[0].resume()
  abandoned[0].pause()
  t.equal((await next).lane, 0)
  t.match(scheduler, { paused: 11, computing: 1 }, 'word that comes after the end changes nothing')
})

t.test('limits of owners and key sets delay their own inferences alone', async (t) => {
  const { log, take } = scheduling({
    lanes: 4,
    placesPerLane: 2,
    placesPerOwner: 3,
    mostPerOwner: 4,
    mostPerKeySet: 2,
  })
  const turns = ['a1', 'a2', 'a3'].map((name) => take(name, 'a', { keySet: 'k' }))
  const others = ['a4', 'a5'].map((name) => take(name, 'a'))
  await soon()
  t.strictSame(log, ['a1', 'a2', 'a4'], 'two of a key set, three of an owner')
  ;(await others[0]).pause()
  await soon()
  t.strictSame(log.slice(3), ['a5'], 'an inference that waits for its client leaves its place')
  ;(await turns[0]).pause()
  await soon()
  t.equal(log.length, 4, 'four of an owner, those that wait for their client included')
  ;(await turns[0]).end()
  await soon()
  t.strictSame(log.slice(4), ['a3'])
  const own = await take('q1', 'q', { mostOfOwner: 1 })
  const second = take('q2', 'q', { mostOfOwner: 1 })
  await soon()
  t.equal(log.at(-1), 'q1', 'an owner may have a limit of its own')
  own.end()
  await second
})

t.test('one session runs one inference at a time, and a second worker another', async (t) => {
  const { log, take } = scheduling({ lanes: 2, placesPerLane: 4 })
  const same = { keySet: 'k', circuit: 'c' }
  const turns = [take('1', 'a', same), take('2', 'a', same), take('3', 'a', same)]
  const other = await take('other circuit', 'a', { keySet: 'k', circuit: 'd' })
  t.strictSame(log, ['1', '2', 'other circuit'])
  const [first, second] = await Promise.all(turns.slice(0, 2))
  t.not(first.lane, second.lane)
  second.end()
  t.equal((await turns[2]).lane, second.lane)
  other.end()
})

t.test('an inference goes to a worker that has its keys', async (t) => {
  const { scheduler, take } = scheduling({ lanes: 3 })
  const turns = await Promise.all(['x', 'y', 'z'].map((keySet) => take(keySet, 'o', { keySet })))
  t.strictSame(
    turns.map(({ lane }) => lane),
    [0, 1, 2],
  )
  for (const turn of turns) turn.end()
  for (const [keySet, lane] of [
    ['z', 2],
    ['y', 1],
    ['x', 0],
  ] as const) {
    const turn = await take(`${keySet} again`, 'o', { keySet })
    t.equal(turn.lane, lane)
    turn.end()
  }
  scheduler.lanes.unloaded(2, 'z')
  const turn = await take('z elsewhere', 'o', { keySet: 'z' })
  t.equal(turn.lane, 0, 'the worker has freed the keys')
  turn.end()
  scheduler.lanes.replaced(1)
  const busy = await take('first', 'o', { keySet: 'x' })
  t.equal(busy.lane, 0)
  t.equal(
    (await take('y elsewhere', 'o', { keySet: 'y' })).lane,
    1,
    'the least number of those that have nothing',
  )
})

t.test('memory of inferences under way is not given twice', async (t) => {
  const { log, take } = scheduling({ placesPerLane: 8, laneBytes: 100 })
  const first = await take('first', 'a', { program: 60 })
  const large = take('large', 'b', { program: 50 })
  const small = await take('small', 'c', { program: 40 })
  await soon()
  t.strictSame(log, ['first', 'small'], 'a smaller one overtakes')
  first.pause()
  await soon()
  t.equal(log.length, 2, 'an inference that waits for its client keeps its memory')
  first.end()
  ;(await large).end()
  small.end()
  const huge = await take('huge', 'a', { program: 500 })
  t.equal(huge.lane, 0, 'what fits no worker goes to an empty one, which refuses it')
})

t.test('shared keys and constants count once', async (t) => {
  const { scheduler } = scheduling({ placesPerLane: 8, laneBytes: 120 })
  const begin = (keySet: string, circuit: string) =>
    scheduler.take(
      {
        owner: 'o',
        seconds: 1,
        session: { keySet, circuit, keys: 30, constants: 30, program: 10 },
        silence: () => 0,
        evict: () => {},
      },
      patient,
    )
  await begin('k', 'c')
  await begin('l', 'c')
  t.match(scheduler, { computing: 2, waiting: 0 }, '70 + 70 is too much without sharing')
  void begin('m', 'c')
  await soon()
  t.match(scheduler, { computing: 2, waiting: 1 })
})

t.test('small inferences do not overtake a large one for ever', async (t) => {
  const { log, take } = scheduling({ placesPerLane: 8, laneBytes: 100 })
  let small = await take('small', 'b', { program: 60 })
  const large = take('large', 'a', { program: 80, seconds: 0 })
  let started = 0
  for (; started < 50 && !log.includes('large'); started++) {
    const next = take(`small ${started}`, 'b', { program: 30 })
    await soon()
    small.end()
    small = await Promise.race([next, large])
  }
  t.ok(started <= 18, `${started} smaller ones started before it`)
  t.ok(log.includes('large'))
})

t.test('the longest silent client loses its place when another waits for its memory', async (t) => {
  const { log, take } = scheduling({ placesPerLane: 8, laneBytes: 100, silenceMilliseconds: 1000 })
  const evicted: string[] = []
  const silent = new Map([
    ['a', 5000],
    ['b', 9000],
    ['c', 0],
    ['d', 20_000],
  ])
  const turns = new Map<string, Turn>()
  for (const [name, silence] of silent) {
    const evict = (): void => {
      evicted.push(name)
      turns.get(name)!.end()
    }
    turns.set(name, await take(name, 'o', { program: 25, silence: () => silence, evict }))
    // The last one computes: its client need not act.
    if (name !== 'd') turns.get(name)!.pause()
  }
  // The scheduler's own timer keeps no process alive.
  const alive = setTimeout(() => {}, 60_000)
  await take('new', 'p', { program: 50 })
  clearTimeout(alive)
  t.strictSame(evicted, ['b', 'a'], 'no more than are needed, and none that acts or is computed for')
  t.equal(log.at(-1), 'new')
})

t.test('no client is evicted while memory suffices', async (t) => {
  const { take } = scheduling({ silenceMilliseconds: 0 })
  const held = await take('held', 'a', { silence: () => 1e6, evict: () => t.fail('is evicted') })
  held.pause()
  const other = await take('other', 'b')
  const next = take('next', 'c')
  await new Promise((resolve) => setTimeout(resolve, 1200))
  other.end()
  await next
})

t.test('a full queue refuses, and says when to come again', async (t) => {
  const { scheduler, take } = scheduling({ queue: 8 })
  const refused = (
    t: Test,
    promise: Promise<Turn>,
    status: number | undefined,
    message: RegExp,
    facts = {},
  ) => t.rejects(promise, { code: 'TOO_BUSY', status, message, facts })
  const running = await take('running', 'a', { seconds: 30 })
  const ofKeySet = { keySet: 'k', seconds: 10 }
  void take('k1', 'a', ofKeySet)
  void take('k2', 'a', ofKeySet)
  await refused(t, take('k3', 'a', ofKeySet), 429, /^2 inferences of this key set/, {
    waiting: 2,
    retryAfter: 25,
  })
  void take('a3', 'a')
  void take('a4', 'a')
  await refused(t, take('a5', 'a'), 429, /^4 inferences of this client/, { waiting: 4 })
  const others = ['b', 'c', 'd'].map((owner) => take(owner, owner))
  t.equal(scheduler.waiting, 7, 'others find room at the same time')
  void take('e', 'e')
  await refused(t, take('f', 'f'), 503, /^8 inferences are waiting/, { waiting: 8 })
  running.end()
  t.equal((await others[0]).lane, 0)
})

t.test('a full queue refuses before the query has arrived', async (t) => {
  const { scheduler, take } = scheduling({ queue: 4 })
  const leaves = (owner: string) => scheduler.announce(owner)()
  leaves('a')
  const running = await take('running', 'a', { seconds: 30 })
  leaves('a')
  for (const name of ['a1', 'a2']) void take(name, 'a')
  t.throws(() => leaves('a'), { status: 429, message: /^2 inferences of this client/ })
  leaves('b')
  for (const name of ['b1', 'b2']) void take(name, 'b')
  t.throws(() => leaves('c'), { code: 'TOO_BUSY', message: /^4 inferences are waiting/ })
  running.end()
  await soon()
  leaves('c')
})

t.test('queries that are arriving count for one another', async (t) => {
  const { scheduler, take } = scheduling({ placesPerLane: 2, queue: 4 })
  // Two places, and half of the queue.
  const mine = Array.from({ length: 4 }, () => scheduler.announce('a'))
  t.throws(() => scheduler.announce('a'), { status: 429, message: /^2 inferences of this client/ })
  const others = [scheduler.announce('b'), scheduler.announce('b')]
  t.throws(() => scheduler.announce('c'), { status: 503, message: /^4 inferences are waiting/ })
  mine[0]()
  mine[0]()
  // One that has arrived takes a place.
  const first = await take('a', 'a')
  t.throws(() => scheduler.announce('c'), { status: 503, message: /^4 inferences are waiting/ })
  others[0]()
  scheduler.announce('c')()
  first.end()
  for (const arrived of [...mine, ...others]) arrived()
  t.equal(scheduler.waiting, 0)
  for (let i = 0; i < 6; i++) scheduler.announce(`${i}`)
  t.throws(() => scheduler.announce('6'), { status: 503, message: /^4 inferences are waiting/ })
})

t.test('an inference that would wait too long is refused', async (t) => {
  const { scheduler, take } = scheduling({ lanes: 2, queueSeconds: 60 })
  await take('1', 'a', { seconds: 100 })
  const second = await take('2', 'a', { seconds: 40 })
  void take('3', 'a', { seconds: 50 }).catch(() => {})
  await t.rejects(take('4', 'b'), {
    code: 'TOO_BUSY',
    message: /would wait about 70 seconds/,
    facts: { retryAfter: 35 },
  })
  t.ok(scheduler.waitSeconds <= 95)
  second.pause()
  const seconds = second.end()
  t.ok(seconds > 0 && seconds < 40, 'seconds are those of computing, and not those that were planned')
})

t.test('an owner whose inferences would wait too long does not have others refused', async (t) => {
  const { scheduler, log, take } = scheduling({ queueSeconds: 600 })
  const running = await take('a1', 'a', { seconds: 100 })
  const waiting = ['a2', 'a3', 'a4', 'a5', 'a6', 'a7'].map((name) => take(name, 'a', { seconds: 100 }))
  await t.rejects(take('a8', 'a', { seconds: 100 }), { code: 'TOO_BUSY', facts: { waiting: 6 } })
  t.ok(scheduler.waitSeconds > 600)
  scheduler.announce('b')()
  const other = take('b1', 'b', { seconds: 100 })
  running.end()
  await endAll([other, ...waiting])
  t.strictSame(log.slice(0, 3), ['a1', 'b1', 'a2'])
})

t.test('an inference that leaves the queue gets no turn', async (t) => {
  const { scheduler, log, take } = scheduling({})
  const turn = await take('a', 'a')
  const gone = new AbortController()
  const leaves = take('b', 'b', {}, gone.signal)
  const next = take('c', 'c')
  gone.abort()
  await t.rejects(leaves, InferenceCancelled)
  turn.end()
  await next
  t.strictSame(log, ['a', 'c'])
  await t.rejects(take('d', 'd', {}, gone.signal), InferenceCancelled)
  t.equal(scheduler.waiting, 0)
})

t.test('without a queue an inference starts or is refused', async (t) => {
  const { take } = scheduling({ queue: 0 })
  const turn = await take('a', 'a')
  await t.rejects(take('b', 'b'), { code: 'TOO_BUSY' })
  turn.end()
  t.ok(await take('c', 'c'))
})
