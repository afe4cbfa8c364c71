import t from 'tap'
import { InferenceCancelled } from '../../src/server/inference/engine.ts'
import { Places } from '../../src/server/inference/places.ts'

const patient = new AbortController().signal

/** Takes a place, and logs its owner when it is granted. */
function takes(places: Places, owner: string, log: string[], signal = patient): Promise<() => void> {
  return places.take(owner, signal).then((free) => {
    log.push(owner)
    return free
  })
}

const soon = () => new Promise((resolve) => setImmediate(resolve))

t.test('an owner gets at most its share of the places, and half of the queue', async (t) => {
  const places = new Places({ places: 4, placesPerOwner: 3, queue: 4 })
  const log: string[] = []
  const mine = Array.from({ length: 5 }, () => takes(places, 'a', log))
  await soon()
  t.strictSame(log, ['a', 'a', 'a'])
  t.equal(places.waiting, 2)
  await t.rejects(takes(places, 'a', log), { code: 'TOO_BUSY', message: /2 inferences of this client/ })
  const free = await takes(places, 'b', log)
  t.strictSame(log, ['a', 'a', 'a', 'b'], 'another owner gets a place at once')
  const others = ['b', 'c'].map((owner) => takes(places, owner, log))
  await soon()
  await t.rejects(takes(places, 'd', log), { code: 'TOO_BUSY', message: /4 inferences are waiting/ })
  free()
  await soon()
  t.strictSame(
    log.slice(4),
    ['b'],
    'the first waiting owner with nothing running goes first; `a` has its share',
  )
  ;(await mine[0])()
  await soon()
  t.strictSame(log.slice(5), ['c'], 'an owner with nothing running goes before one with two running')
  ;(await others[0])()
  await soon()
  t.strictSame(log.slice(6), ['a'])
  for (const held of [mine[1], mine[2], others[1], mine[3], mine[4]]) (await held)()
  t.equal(places.waiting, 0)
  t.ok(await takes(places, 'd', log))
})

t.test('an owner that leaves the queue gets no place', async (t) => {
  const places = new Places({ places: 1, placesPerOwner: 1, queue: 4 })
  const log: string[] = []
  const free = await takes(places, 'a', log)
  const gone = new AbortController()
  const waits = takes(places, 'b', log, gone.signal)
  const next = takes(places, 'c', log)
  gone.abort()
  await t.rejects(waits, InferenceCancelled)
  free()
  await next
  t.strictSame(log, ['a', 'c'])
  await t.rejects(takes(places, 'd', log, gone.signal), InferenceCancelled)
})

t.test('without a queue a request gets a place or is refused', async (t) => {
  const places = new Places({ places: 1, placesPerOwner: 1, queue: 0 })
  const free = await places.take('a', patient)
  await t.rejects(places.take('b', patient), { code: 'TOO_BUSY' })
  free()
  t.ok(await places.take('b', patient))
})
