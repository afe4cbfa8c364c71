import { mock } from 'node:test'
import t from 'tap'
import { IdleTimer } from '../../src/server/inference/idle-timer.ts'
import { ReplyCache } from '../../src/server/inference/reply-cache.ts'
import { LEAST_RATE, REQUEST_MILLISECONDS } from '../../src/server/request-time.ts'

// The clock of these tests goes on as they say, however busy the machine is.
mock.timers.enable({ apis: ['setTimeout'] })
t.teardown(() => mock.timers.reset())

t.test('the timer ends an idle inference, and allows more time while a request is open', async (t) => {
  let silences = 0
  const attendance = new IdleTimer({ absent: 60, present: 400, stalled: 10_000 }, () => silences++)
  mock.timers.tick(150)
  t.equal(silences, 0, 'no request is expected')
  attendance.expect(true)
  const leave = attendance.enter()
  mock.timers.tick(150)
  t.equal(silences, 0, 'a request is open')
  leave()
  attendance.expect(false)
  mock.timers.tick(150)
  t.equal(silences, 0)
  attendance.expect(true)
  mock.timers.tick(150)
  t.equal(silences, 1, 'no request came')
  attendance.enter()
  mock.timers.tick(600)
  t.equal(silences, 2, 'a request came and stalled')
})

t.test('requests without progress do not prolong an inference for ever', async (t) => {
  let ends = 0
  const timer = new IdleTimer({ absent: 200, present: 200, stalled: 300 }, () => ends++)
  timer.expect(true)
  for (let request = 0; request < 5; request++) {
    mock.timers.tick(50)
    timer.enter()()
  }
  t.equal(ends, 0)
  timer.expect(true)
  for (let request = 0; request < 5; request++) {
    mock.timers.tick(50)
    timer.enter()()
  }
  t.equal(ends, 0, 'progress of the inference prolongs it')
  mock.timers.tick(80)
  t.equal(ends, 1)
  timer.expect(false)
  mock.timers.tick(250)
  t.equal(ends, 1, 'an inference ends once')
})

/** A timer whose clock stands still unless it is moved. */
function clocked() {
  const clock = { now: 1000 }
  const limits = { absent: 1e9, present: 1e9, stalled: 1e9 }
  const timer = new IdleTimer(
    limits,
    () => {},
    () => clock.now,
  )
  return { clock, timer }
}

t.test('a client that has to act is silent since the last step, whatever it asks for', async (t) => {
  const { clock, timer } = clocked()
  clock.now += 500
  t.equal(timer.silence, 0, 'it has nothing to do')
  timer.expect(true)
  for (let i = 1; i <= 5; i++) {
    timer.enter()()
    clock.now += 100
    t.equal(timer.silence, 100 * i)
  }
  timer.sends(1, 1000 * LEAST_RATE)
  t.equal(timer.silence, 0)
  clock.now += 1000
  t.equal(timer.silence, 0, 'an output may take its time the first time')
  clock.now += 300
  timer.sends(1, 1000 * LEAST_RATE)
  t.equal(timer.silence, 300, 'and the second time it has no meaning')
  timer.expect(true)
  t.equal(timer.silence, 0, 'a step')
  clock.now += 300
  timer.expect(false)
  t.equal(timer.silence, 0)
})

t.test('bodies count by their bytes, and for as long as one request may take', async (t) => {
  const { clock, timer } = clocked()
  timer.expect(true)
  for (let i = 0; i < 100; i++) {
    clock.now += 100
    timer.receives(1)
  }
  t.ok(timer.silence > 9990, 'a body that trickles')
  timer.expect(true)
  for (let i = 0; i < 100; i++) {
    clock.now += 100
    timer.receives(50 * LEAST_RATE)
  }
  t.ok(Math.abs(timer.silence - 5000) < 1, 'one at half of the rate')
  timer.expect(true)
  for (let second = 0; second < 300; second++) {
    clock.now += 1000
    timer.receives(5000 * LEAST_RATE)
  }
  t.ok(Math.abs(timer.silence - (300_000 - REQUEST_MILLISECONDS)) < 1, 'bodies that are repeated')
  timer.expect(true)
  clock.now += 1000
  timer.receives(1000 * LEAST_RATE)
  t.ok(timer.silence < 1, 'after a step they count again')
})

t.test('answers are kept while there is room; the oldest are dropped first', async (t) => {
  const room = new ReplyCache(100)
  const answer = (bytes: number) => ({ jsonBytes: 0, body: Buffer.alloc(bytes) })
  const first = room.keep(answer(60))
  const second = room.keep(answer(40))
  t.equal(room.bytes, 100)
  const third = room.keep(answer(10))
  t.notOk(first.answer)
  t.ok(second.answer && third.answer)
  t.equal(room.bytes, 50)
  room.drop(second)
  room.drop(second)
  room.drop(first)
  t.equal(room.bytes, 10)
  t.notOk(room.keep(answer(101)).answer, 'an answer larger than the room')
  t.equal(room.bytes, 0)
})

t.test('the holder of most bytes loses its oldest answers first', async (t) => {
  const room = new ReplyCache(100)
  const answer = (bytes: number) => ({ jsonBytes: 0, body: Buffer.alloc(bytes) })
  const ofOne = room.of('one').keep(answer(10))
  const many = Array.from({ length: 20 }, () => room.of('another').keep(answer(10)))
  t.ok(ofOne.answer)
  t.equal(many.filter(({ answer }) => answer !== undefined).length, 9)
  t.ok(many.at(-1)?.answer)
  t.equal(room.bytes, 100)
})
