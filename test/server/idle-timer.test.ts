import { mock } from 'node:test'
import t from 'tap'
import { IdleTimer } from '../../src/server/inference/idle-timer.ts'
import { ReplyCache } from '../../src/server/inference/reply-cache.ts'

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
