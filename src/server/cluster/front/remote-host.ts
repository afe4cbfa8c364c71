import { randomUUID } from 'node:crypto'
import { propagation } from '@opentelemetry/api'
import { PolyVeilError } from '../../../errors/index.ts'
import { tenantOf } from '../../access/caller.ts'
import { type BudgetServices, giveBackImages, takeImages } from '../../execution/take-images.ts'
import type {
  BegunInference,
  HostedInference,
  InferenceClient,
  InferenceHost,
  InferenceUnderWay,
  NewQuery,
} from '../../inference/host.ts'
import { CLOSING } from '../../inference/inference.ts'
import { handleOfName } from '../../inference/registry.ts'
import { conflict } from '../../problems/http-error.ts'
import { underWaySchema } from '../exchange/protocol.ts'
import { giveBackJob } from '../queue/give-back.ts'
import { type InferenceRecord, InferenceRecords, waitingRecord } from '../queue/inference-records.ts'
import { jobId } from '../queue/job-queue.ts'
import { FORMAT, type QueryJob } from '../queue/query-job.ts'
import { AskedInferences } from './asked-inferences.ts'
import { QueryQueue, type QueryQueueServices } from './query-queue.ts'
import { RemoteInference, type RemoteInferenceServices } from './remote-inference.ts'

export interface RemoteHostServices extends BudgetServices, QueryQueueServices {
  readonly onSending: RemoteInferenceServices['onSending']
}

/** Runs inferences on the worker processes of a cluster. */
export class RemoteHost implements InferenceHost {
  readonly #services: RemoteHostServices
  readonly #queue: QueryQueue
  readonly #asked: AskedInferences

  constructor(services: RemoteHostServices) {
    this.#services = services
    this.#queue = new QueryQueue(services)
    const stop = (name: string, record: InferenceRecord, reason: string): Promise<void> =>
      this.#handle(name, record).stop(reason)
    this.#asked = new AskedInferences({ ...services, stop }, this.#queue)
  }

  /** Asynchronous ones go on without this process. */
  get running(): number {
    return this.#asked.jobs.filter(({ isAsync }) => !isAsync).length
  }

  /** Answers are with the worker processes. */
  readonly unfetched = 0

  async begin(query: NewQuery): Promise<BegunInference> {
    const { calls } = this.#services
    const { request, model, keys, frame, id = randomUUID() } = query
    const { tenant } = request.audited.caller
    const name = InferenceRecords.nameOf({ tenant, keySet: keys.name }, id)
    const taken = await takeImages(this.#services, query)
    const { id: call, answer } = calls.expect()
    const job = this.#jobOf(name, id, query, call, taken)
    const record = waitingRecord(job, model)
    try {
      if (!(await this.#add(name, record))) {
        throw conflict('CONFIG_INVALID', 'An inference of that id is under way; choose another', { id })
      }
      const { first } = await this.#asked.add(job, { request, model, keys }, frame, answer)
      return { inference: this.#handle(name, record), first }
    } catch (error) {
      calls.giveUp(call, error)
      await giveBackImages(this.#services, query, taken)
      throw error
    }
  }

  async find(client: InferenceClient, id: string): Promise<HostedInference | undefined> {
    const name = InferenceRecords.nameOf(client, id)
    const record = await this.#services.records.get(name)
    return record && this.#handle(name, record)
  }

  async underWay(): Promise<readonly InferenceUnderWay[]> {
    const { calls, peers } = this.#services
    const all = peers.workers.map(async ({ name }) =>
      underWaySchema.parse((await calls.call(name, 'underWay', { data: null })).data),
    )
    const waiting = await Promise.all((await this.#waiting()).map(underWayIn))
    const found = [...(await ofThoseThatLive(all)).flat(), ...waiting]
    // One that a worker has taken meanwhile is in both.
    const byHandle = new Map(found.reverse().map((each) => [each.handle, each]))
    return [...byHandle.values()].sort((a, b) => b.snapshot.seconds - a.snapshot.seconds)
  }

  /** The inferences that no worker process has taken. */
  async #waiting(): Promise<WaitingInference[]> {
    const { waiting, records } = this.#services
    const found = (await waiting.entries()).map(async ([name, { owner, keySet }]) => {
      const record = await records.get(name)
      if (record?.place.kind !== 'waiting') return []
      const client = { tenant: tenantOf(owner), keySet }
      return [{ handle: handleOfName(name), client, inference: this.#handle(name, record) }]
    })
    return (await Promise.all(found)).flat()
  }

  async stop(handle: string, reason: string): Promise<boolean> {
    const { calls, peers } = this.#services
    const all = peers.workers.map(({ name }) => calls.call(name, 'stopHandle', { data: { handle, reason } }))
    if ((await ofThoseThatLive(all)).some(({ data }) => data === true)) return true
    const waiting = (await this.#waiting()).find((each) => each.handle === handle)
    await waiting?.inference.stop(reason)
    return waiting !== undefined
  }

  /** Replies of clients reach the workers through other HTTP processes. */
  stopUnanswered(): void {}

  /** Those whose first output this process waits for have lost their connections. */
  stopAll(): void {
    for (const job of this.#asked.jobs) {
      if (!job.isAsync) this.#withdraw(job.inference, jobId(job), CLOSING, true).catch(() => {})
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
    const job = await this.#queue.withdraw(name, id)
    if (job === undefined) return false
    const { calls } = this.#services
    if (isOwnReason) await giveBackJob(this.#services, job)
    const { process, call } = job.asker
    await calls.refuse(process, call, conflict('INFERENCE_UNKNOWN', reason, { id: job.id }))
    return true
  }
}

/** An inference that no worker process has taken. */
interface WaitingInference extends Pick<InferenceUnderWay, 'handle' | 'client'> {
  readonly inference: RemoteInference
}

const underWayIn = async ({ inference, ...rest }: WaitingInference): Promise<InferenceUnderWay> => ({
  ...rest,
  snapshot: (await inference.moment()).snapshot,
})

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
