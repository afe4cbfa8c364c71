import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { harness, model, patterned, query, splitAnswer, uploadKeys } from '../support.ts'

// Queries at ten times the capacity: what runs and what may wait. The order of events shows that no refusal
// waits for an inference, since none ends before all refusals are there.

const LANES = 2
const SLOTS = 2
const QUEUE = 16
const CAPACITY = LANES * SLOTS + QUEUE
const SENT = 10 * CAPACITY

/** The settings of a service by default, for these numbers of workers. */
const SCHEDULING = {
  placesPerLane: SLOTS,
  placesPerOwner: 3,
  mostPerOwner: 16,
  mostPerKeySet: 2,
  laneBytes: 2 ** 32,
  queue: QUEUE,
  queueSeconds: 600,
}

const from = (remoteAddress: string, request: InjectOptions): InjectOptions => ({ ...request, remoteAddress })

t.test(
  'at ten times the capacity each query is answered or refused at once, and others get in',
  async (t) => {
    const h = await harness(t, {
      lanes: LANES,
      scheduling: SCHEDULING,
      limits: { maxSets: 40, maxUploadsPerOwner: 40, maxSetsPerOwner: 40 },
      security: { requestsPerMinute: 100_000 },
    })
    const keySets: string[] = []
    for (let i = 0; i < 10; i++) keySets.push(await uploadKeys(h, '10.0.0.1'))
    const other = await uploadKeys(h, '10.0.0.2')
    const release = Promise.withResolvers<void>()
    let ended = 0
    h.engine.work = async ({ frame }) => {
      await release.promise
      ended++
      return frame.slice(0, 64).reverse()
    }
    const answers: LightMyRequestResponse[] = []
    const refusals = (): LightMyRequestResponse[] => answers.filter(({ statusCode }) => statusCode !== 200)
    const send = async (i: number): Promise<LightMyRequestResponse> => {
      const frame = patterned(model.queryBytes, i)
      const answer = await h.inject(from('10.0.0.1', query(keySets[i % keySets.length], { frame })))
      answers.push(answer)
      return answer
    }
    const sent = Array.from({ length: SENT }, (_, i) => send(i))

    // One owner fills three slots and half of the queue; all the rest is refused before anything has ended.
    const taken = 3 + QUEUE / 2
    while (answers.length < SENT - taken) await new Promise(setImmediate)
    t.equal(ended, 0, 'no refusal waited for an inference')
    for (const { statusCode, headers } of refusals()) {
      if (![429, 503].includes(statusCode) || !/^[1-9]\d*$/.test(String(headers['retry-after'])))
        t.fail(`a refusal with ${statusCode}, Retry-After ${headers['retry-after']}`)
    }
    t.ok(
      refusals().every((answer) => answer.json().code === 'TOO_BUSY'),
      'each says why',
    )
    t.equal((await h.inject({ url: '/v2/health/live' })).statusCode, 200)
    t.equal((await h.inject({ url: '/v2/health/ready' })).statusCode, 200, 'a full queue is no fault')

    const second = h.inject(from('10.0.0.2', query(other)))
    while (h.engine.jobs.length < 4) await new Promise(setImmediate)
    t.equal(ended, 0, 'a second client starts while the first one fills all that it may')

    release.resolve()
    t.equal((await second).statusCode, 200)
    const all = await Promise.all(sent)
    t.equal(all.length, SENT, 'no answer is lost')
    t.equal(all.filter(({ statusCode }) => statusCode === 200).length, taken)
    all.forEach((answer, i) => {
      if (answer.statusCode !== 200) return
      const expected = patterned(64, i).reverse()
      t.strictSame([...splitAnswer(answer).frame], [...expected], `answer ${i} is the one of query ${i}`)
    })
    const late = await h.inject(from('10.0.0.1', query(keySets[0])))
    t.equal(late.statusCode, 200, 'who comes again later is served')
  },
)

t.test('many clients together fill the queue, and are refused with 503', async (t) => {
  const clients = 30
  const h = await harness(t, {
    lanes: 1,
    scheduling: { ...SCHEDULING, placesPerOwner: 2 },
    limits: { maxSets: clients, maxUploadsPerOwner: 4 },
  })
  const keySets: string[] = []
  for (let i = 0; i < clients; i++) keySets.push(await uploadKeys(h, `10.0.1.${i}`))
  const release = Promise.withResolvers<void>()
  h.engine.work = async ({ frame }) => {
    await release.promise
    return frame.slice(0, 1)
  }
  const answers: LightMyRequestResponse[] = []
  const sent = keySets.map(async (keys, i) => {
    answers.push(await h.inject(from(`10.0.1.${i}`, query(keys))))
  })
  const taken = SLOTS + QUEUE
  while (answers.length < clients - taken) await new Promise(setImmediate)
  const isRefusal = ({ statusCode, headers }: LightMyRequestResponse): boolean =>
    statusCode === 503 && Number(headers['retry-after']) > 0
  t.ok(answers.every(isRefusal), 'each refusal is 503 and says when to come again')
  release.resolve()
  await Promise.all(sent)
  t.equal(answers.filter(({ statusCode }) => statusCode === 200).length, taken)
})
