import { randomUUID } from 'node:crypto'
import { propagation } from '@opentelemetry/api'
import { PolyVeilError } from '../../../errors/index.ts'
import {
  type BudgetServices,
  giveBackImages,
  type QueryFacts,
  takeImages,
} from '../../execution/take-images.ts'
import type {
  BegunInference,
  HostedInference,
  InferenceClient,
  InferenceHost,
  InferenceUnderWay,
  NewQuery,
} from '../../inference/host.ts'
import { CLOSING } from '../../inference/inference.ts'
import type { SentAnswer } from '../../inference/reply-cache.ts'
import { conflict } from '../../problems/http-error.ts'
import type { Calls } from '../exchange/calls.ts'
import type { Peers } from '../exchange/peers.ts'
import { outputSchema, TAKEN, takenSchema, underWaySchema } from '../exchange/protocol.ts'
import { able, isFull, placesOf, requireAble } from '../queue/fleet.ts'
import type { Frames } from '../queue/frames.ts'
import { type InferenceRecord, InferenceRecords } from '../queue/inference-records.ts'
import { type JobQueue, jobId } from '../queue/job-queue.ts'
import type { KeyHolders } from '../queue/key-holders.ts'
import { placeFor, priorityOf } from '../queue/placement.ts'
import { FORMAT, type QueryJob } from '../queue/query-job.ts'
import type { QueueClock } from '../queue/queue-clock.ts'
import type { WaitingList } from '../queue/waiting-list.ts'
import { RemoteInference, type RemoteInferenceServices } from './remote-inference.ts'

export interface RemoteHostServices extends BudgetServices {
  readonly calls: Calls
  readonly peers: Peers
  readonly queue: JobQueue
  readonly waiting: WaitingList
  readonly records: InferenceRecords
  readonly frames: Frames
  readonly holders: KeyHolders
  readonly clock: QueueClock
  readonly onSending: RemoteInferenceServices['onSending']
}

/** An inference begins again on another worker so many times, when the one that had it ends. */
const MOST_RESTARTS = 1

/** Between two looks whether a job is still there. */
const LOOK_MILLISECONDS = 5000

/** Workers that are told of a job that any of them may take. */
const MOST_WOKEN = 2

/** An inference whose first output this process waits for. */
interface Asked {
  readonly name: string
  readonly query: QueryFacts
  job: QueryJob
  /** The worker that has it, or in whose own queue it waits. */
  worker?: string
  isTaken: boolean
  /** When its job was last in the queue, by `performance.now()`; absent while it is brought there. */
  seen?: number
}

/** Runs inferences on the worker processes of a cluster. */
export class RemoteHost implements InferenceHost {
  readonly #services: RemoteHostServices
  /** By the id of the call that the first output answers. */
  readonly #asked = new Map<string, Asked>()
  /** Those whose answer is lost with the connection to Redis, until it is there again. */
  readonly #left = new Set<Asked>()

  constructor(services: RemoteHostServices) {
    this.#services = services
    services.calls.handle(TAKEN, async ({ data }, from) => {
      this.#taken(takenSchema.parse(data).call, from)
      return {}
    })
    services.peers.onWorkerLost((worker) => this.#lost(worker))
    services.peers.watch(() => this.#awaited)
    services.peers.onBeat(() => {
      this.#lookForJobs()
      for (const asked of this.#left) void this.#leave(asked)
    })
  }

  get running(): number {
    return this.#asked.size
  }

  async begin(query: NewQuery): Promise<BegunInference> {
    const { tenant } = query.request.audited.caller
    const id = query.id ?? randomUUID()
    const name = InferenceRecords.nameOf({ tenant, keySet: query.keys.name }, id)
    const taken = await takeImages(this.#services, query)
    const { id: call, answer } = this.#services.calls.expect()
    const job = this.#jobOf(name, id, query, call, taken)
    const record = recordOf(job, query)
    const { request, model, keys } = query
    const asked: Asked = { name, query: { request, model, keys }, job, isTaken: false }
    try {
      if (!(await this.#add(name, record))) {
        throw conflict('CONFIG_INVALID', 'An inference of that id is under way; choose another', { id })
      }
      this.#asked.set(call, asked)
      await this.#enqueue(asked, query.frame).catch(async (error) => {
        this.#asked.delete(call)
        await this.#remove(asked)
        throw error
      })
    } catch (error) {
      this.#services.calls.giveUp(call, error)
      await giveBackImages(this.#services, query, taken)
      throw error
    }
    const first = answer.then(({ data, body }) => ({ ...outputSchema.parse(data), body }))
    return { inference: this.#handle(name, record), first: this.#untilAnswered(asked, first) }
  }

  async find(client: InferenceClient, id: string): Promise<HostedInference | undefined> {
    const name = InferenceRecords.nameOf(client, id)
    const record = await this.#services.records.get(name)
    return record && this.#handle(name, record)
  }

  async underWay(): Promise<readonly InferenceUnderWay[]> {
    const { calls, peers } = this.#services
    const all = peers.workers.map(async ({ name }) =>
      underWaySchema.parse((await calls.call(name, 'underWay')).data),
    )
    return (await ofThoseThatLive(all)).flat()
  }

  async stop(handle: string, reason: string): Promise<boolean> {
    const { calls, peers } = this.#services
    const all = peers.workers.map(({ name }) => calls.call(name, 'stopHandle', { data: { handle, reason } }))
    return (await ofThoseThatLive(all)).some(({ data }) => data === true)
  }

  /** Replies of clients reach the workers through other HTTP processes. */
  stopUnanswered(): void {}

  /** Those whose first output this process waits for have lost their connections. */
  stopAll(): void {
    for (const { name, job } of this.#asked.values()) {
      if (!job.isAsync) this.#withdraw(name, jobId(job), CLOSING, true).catch(() => {})
    }
  }

  /** Adds a record, also in place of that of an inference whose worker has ended. */
  async #add(name: string, record: InferenceRecord): Promise<boolean> {
    const { records, peers } = this.#services
    if (await records.add(name, record)) return true
    const place = (await records.get(name))?.place
    if (place?.kind !== 'worker' || (await peers.isAlive(place.worker))) return false
    await records.release(name, place)
    return records.add(name, record)
  }

  async #untilAnswered(asked: Asked, first: Promise<SentAnswer>): Promise<SentAnswer> {
    try {
      return await first
    } catch (error) {
      if (isAway(error) && !asked.job.isAsync) this.#left.add(asked)
      throw error
    } finally {
      this.#asked.delete(asked.job.asker.call)
    }
  }

  /** Ends an inference whose client has got an error, so that none is computed for nobody. */
  async #leave(asked: Asked): Promise<void> {
    const { name, job, query } = asked
    this.#left.delete(asked)
    try {
      const record = await this.#services.records.get(name)
      // The client may have begun another of this id.
      if (record?.place.job === jobId(job)) await this.#handle(name, record).stop(UNREACHABLE)
    } catch (err) {
      query.request.log.warn({ err, inference: job.id }, 'An inference that nobody waits for goes on')
    }
  }

  /**
   * Puts a job where a worker takes it.
   *
   * @param frame the encrypted image, where it is not kept in Redis already
   * @throws TOO_BUSY when too many wait, or Redis is away
   */
  async #enqueue(asked: Asked, frame?: Uint8Array): Promise<void> {
    const { job } = asked
    const { frames, waiting, queue, peers, holders, clock } = this.#services
    const workers = await requireAble(peers)
    const { network: owner } = job.request.caller
    const before = await waiting.all()
    if (isFull(workers) || before.length > 0) {
      waiting.requireRoom({ owner, keySet: job.keySet }, before, placesOf(workers))
    }
    const worker = placeFor(await holders.of(job.keySet), workers, before)
    asked.worker = worker
    const priority = priorityOf(owner, before, await clock.second(before.length === 0))
    if (frame) await frames.put(job.inference, frame)
    await waiting.add(job.inference, {
      owner,
      keySet: job.keySet,
      seconds: job.seconds,
      job: jobId(job),
      priority,
      since: Date.now(),
      worker,
    })
    await queue.add(job, priority, worker)
    asked.seen = performance.now()
    await this.#wake(worker)
  }

  /** Tells a worker of a job. By default it is told to some that have a place; others look by themselves. */
  async #wake(worker: string | undefined): Promise<void> {
    const { calls, peers } = this.#services
    const free = able(peers.workers).filter(({ freePlaces }) => freePlaces > 0)
    const first = Math.floor(Math.random() * free.length)
    const some = [...free.slice(first), ...free.slice(0, first)].slice(0, MOST_WOKEN).map(({ name }) => name)
    for (const name of worker === undefined ? some : [worker]) await calls.tell(name, 'wake', { data: null })
  }

  #jobOf(name: string, id: string, query: NewQuery, call: string, taken: QueryJob['taken']): QueryJob {
    const { model, keys, isAsync, request } = query
    const { audited, context } = request
    const trace: Record<string, string> = {}
    propagation.inject(context, trace)
    const { owner, network, tenant, token, quota } = audited.caller
    return {
      format: FORMAT,
      inference: name,
      id,
      model: { name: model.name, digest: model.digest },
      keySet: keys.name,
      isAsync,
      asker: { process: this.#services.calls.self, call },
      request: { id: audited.id, ip: audited.ip, caller: { owner, network, tenant, token, quota }, trace },
      taken,
      seconds: model.manifest.estimate.seconds / this.#threads,
      restarts: 0,
    }
  }

  get #threads(): number {
    return Math.max(1, ...this.#services.peers.workers.map(({ threads }) => threads))
  }

  #taken(call: string, worker: string): void {
    const { calls } = this.#services
    const asked = this.#asked.get(call)
    if (asked) asked.worker = worker
    if (asked) asked.isTaken = true
    calls.expectFrom(call, worker)
  }

  /** Has inferences that a worker had, or that waited for it, begin again, and fails other calls to it. */
  #lost(worker: string): void {
    const { calls } = this.#services
    for (const asked of [...this.#asked.values()]) {
      if (asked.worker === worker) void this.#beginAgain(asked, asked.isTaken)
      else if (!asked.isTaken) void this.#beginAgainIfTaken(asked, worker)
    }
    for (const call of calls.awaitedFrom(worker)) calls.giveUp(call, workerLost())
  }

  /** A worker may have ended when it had taken a job, and before it has told of that. */
  async #beginAgainIfTaken(asked: Asked, worker: string): Promise<void> {
    const { job } = asked
    // What Redis does not say now, a look for the job finds.
    const record = await this.#services.records.get(asked.name).catch(() => undefined)
    const isHere = record?.place.worker === worker && record.place.job === jobId(job)
    if (isHere && asked.job === job) await this.#beginAgain(asked, true)
  }

  /**
   * No output of the inference has reached its client, so it need not know.
   *
   * @param hasBegun whether a worker had taken it
   */
  async #beginAgain(asked: Asked, hasBegun: boolean): Promise<void> {
    const { calls, records } = this.#services
    const { job, query, name } = asked
    const former = job.asker.call
    if (this.#asked.get(former) !== asked) return
    this.#asked.delete(former)
    // What a worker still says of the former job, when it has only stood still, is not listened to.
    const call = calls.renew(former)
    asked.job = { ...job, asker: { ...job.asker, call }, restarts: job.restarts + Number(hasBegun) }
    asked.isTaken = false
    asked.worker = undefined
    asked.seen = undefined
    this.#asked.set(call, asked)
    try {
      if (asked.job.restarts > MOST_RESTARTS) throw workerLost()
      query.request.log.warn({ inference: job.id }, 'An inference begins again, because its worker has ended')
      await records.replace(name, recordOf(asked.job, query))
      await this.#enqueue(asked)
    } catch (error) {
      calls.giveUp(call, error)
      await this.#remove(asked)
      await giveBackImages(this.#services, query, job.taken)
    }
  }

  /** Removes what is in Redis of an inference that does not begin. What is left there ends by its time. */
  async #remove({ name, job, worker }: Asked): Promise<void> {
    const { queue, waiting, records, frames } = this.#services
    await Promise.allSettled([
      queue.remove(jobId(job), worker),
      waiting.remove(name),
      records.remove(name),
      frames.remove(name),
    ])
  }

  /** Processes that inferences of this one depend on. */
  get #awaited(): string[] {
    const ofAsked = [...this.#asked.values()].flatMap(({ worker }) => worker ?? [])
    return [...this.#services.calls.awaited, ...ofAsked]
  }

  /** A job is lost when its worker ends as it takes it, or when Redis loses its data. */
  #lookForJobs(): void {
    const now = performance.now()
    for (const asked of this.#asked.values()) {
      const { isTaken, seen = now } = asked
      if (!isTaken && now - seen > LOOK_MILLISECONDS) void this.#lookFor(asked, now)
    }
  }

  async #lookFor(asked: Asked, now: number): Promise<void> {
    const { job, worker, seen = now } = asked
    // While Redis does not say it, the next beat looks again.
    const isThere = await this.#services.queue.has(jobId(job), worker).catch(() => true)
    if (asked.job !== job || asked.isTaken || asked.seen !== seen) return
    if (isThere) asked.seen = now
    // A message that tells of it may be under way.
    else if (now - seen > 2 * LOOK_MILLISECONDS) await this.#beginAgain(asked, true)
  }

  #handle(name: string, record: InferenceRecord): RemoteInference {
    const { calls, records, queue, waiting, onSending } = this.#services
    const withdraw: RemoteInferenceServices['withdraw'] = (job, reason, isOwnReason) =>
      this.#withdraw(name, job, reason, isOwnReason)
    const isQueued: RemoteInferenceServices['isQueued'] = async (job, worker) =>
      queue.has(job, worker ?? (await waiting.get(name))?.worker)
    return new RemoteInference({ calls, records, withdraw, isQueued, onSending }, name, record)
  }

  /** @param reason a sentence @returns whether no worker had taken it */
  async #withdraw(name: string, id: string, reason: string, isOwnReason: boolean): Promise<boolean> {
    const { queue, waiting, records, frames, calls, budget } = this.#services
    const worker = (await waiting.get(name))?.worker
    const job = (await queue.remove(id, worker)) ?? (await queue.remove(id))
    if (job === undefined) return false
    // A job that was done between the two steps of its removal seems to have been removed.
    if ((await records.get(name))?.place.kind !== 'waiting') return false
    await Promise.all([waiting.remove(name), records.remove(name), frames.remove(name)])
    if (isOwnReason) await budget.giveBack(job.taken)
    const { process, call } = job.asker
    await calls.refuse(process, call, conflict('INFERENCE_UNKNOWN', reason, { id: job.id }))
    return true
  }
}

/** The answers of workers, without those of workers that end meanwhile. */
async function ofThoseThatLive<T>(answers: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(answers)
  return settled.flatMap((each) => {
    if (each.status === 'fulfilled') return [each.value]
    if (isLost(each.reason)) return []
    throw each.reason
  })
}

const isLost = (error: unknown): boolean => error instanceof PolyVeilError && error.code === 'WORKER_LOST'

const recordOf = (job: QueryJob, { model }: QueryFacts): InferenceRecord => ({
  id: job.id,
  model: model.name,
  rounds: model.manifest.rounds,
  begun: Date.now(),
  place: { kind: 'waiting', job: jobId(job) },
})

const UNREACHABLE = 'The inference was ended, because its HTTP process lost the connection to Redis'

const isAway = (error: unknown): boolean => error instanceof PolyVeilError && error.code === 'TOO_BUSY'

const workerLost = (): PolyVeilError =>
  new PolyVeilError('WORKER_LOST', 'The worker process that had the inference has ended')
