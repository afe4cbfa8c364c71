import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { PolyVeilError } from '../../../errors/index.ts'
import type { HostedInference } from '../../inference/host.ts'
import type { InferenceMoment } from '../../inference/inference.ts'
import type { SentAnswer } from '../../inference/reply-cache.ts'
import { conflict } from '../../problems/http-error.ts'
import type { Calls, Payload, Received } from '../exchange/calls.ts'
import { momentSchema, outputSchema, type WorkerCall, type WorkerCallData } from '../exchange/protocol.ts'
import type { InferenceRecord, InferenceRecords } from '../queue/inference-records.ts'

export interface RemoteInferenceServices {
  readonly calls: Calls
  readonly records: InferenceRecords
  /**
   * Takes the inference out of the queue, if no worker has taken it. @returns whether it was there
   *
   * @param reason a sentence
   */
  readonly withdraw: (job: string, reason: string, isOwnReason: boolean) => Promise<boolean>
  /** Whether its job waits or is worked at. @param worker that has taken it */
  readonly isQueued: (job: string, worker?: string) => Promise<boolean>
  readonly onSending: (model: string) => () => void
}

/** Between two looks at where a waiting inference is. */
const LOOK_MILLISECONDS = 100
/**
 * After so many looks its job is looked for, too. Within less time than three of these, the process that
 * waits for it has a lost job begin again.
 */
const LOOKS_BETWEEN = 60
const MOST_MISSES = 3

/** Bytes that arrive are told of after so long. */
const TELL_MILLISECONDS = 500

const CANCELLED = 'The inference was cancelled'

/** An inference of another process, or one that waits for a process. */
export class RemoteInference implements HostedInference {
  readonly #services: RemoteInferenceServices
  readonly #name: string
  #record: InferenceRecord
  /** Bytes that the worker has not been told of. */
  #received = 0
  #telling: NodeJS.Timeout | undefined

  constructor(services: RemoteInferenceServices, name: string, record: InferenceRecord) {
    this.#services = services
    this.#name = name
    this.#record = record
  }

  get id(): string {
    return this.#record.id
  }

  async moment(after = -1, gone?: AbortSignal): Promise<InferenceMoment> {
    const { place } = this.#record
    if (place.kind === 'waiting' && after < 0) return { version: 0, running: true, snapshot: this.#waiting }
    // The worker counts its versions from 0 on, too.
    const seen = place.kind === 'waiting' ? -1 : after
    const { data } = await this.#call('moment', { after: seen }, { gone })
    return momentSchema.parse(data)
  }

  async enter(): Promise<() => void> {
    // The query's own request counts where the inference is begun.
    if (this.#record.place.kind === 'waiting') return () => {}
    const token = randomUUID()
    await this.#call('enter', { token })
    return () => {
      const { place } = this.#record
      if (place.kind === 'worker') {
        // A worker that has ended needs no word.
        this.#services.calls.tell(place.worker, 'leave', { data: { token } }).catch(() => {})
      }
    }
  }

  async takeFreeRequest(): Promise<boolean> {
    if (this.#record.place.kind === 'waiting') return false
    return (await this.#call('freeRequest', {})).data === true
  }

  async output(number: number, gone?: AbortSignal): Promise<SentAnswer> {
    const { data, body } = await this.#call('output', { number }, { gone })
    return { ...outputSchema.parse(data), body }
  }

  async reply(round: number, body: Uint8Array): Promise<void> {
    if (this.#record.place.kind === 'waiting') {
      throw conflict('CONFIG_INVALID', `The inference waits for no round now, not for ${round}`)
    }
    await this.#call('reply', { round }, { body })
  }

  receives(bytes: number): void {
    this.#received += bytes
    this.#telling ??= setTimeout(() => this.#tellReceived(), TELL_MILLISECONDS).unref()
  }

  #tellReceived(): void {
    const { place } = this.#record
    const data = { inference: this.#name, bytes: this.#received }
    this.#telling = undefined
    this.#received = 0
    // Without this word a slow client is taken for a silent one, and that only while others wait.
    if (place.kind === 'worker') this.#services.calls.tell(place.worker, 'receives', { data }).catch(() => {})
  }

  cancel(): Promise<void> {
    return this.#end(CANCELLED, false, () => this.#call('cancel', {}))
  }

  stop(reason: string): Promise<void> {
    return this.#end(reason, true, () => this.#call('stop', { reason }))
  }

  onSending(): () => void {
    return this.#services.onSending(this.#record.model)
  }

  async #end(reason: string, isOwnReason: boolean, call: () => Promise<unknown>): Promise<void> {
    const { place } = this.#record
    const isWithdrawn =
      place.kind === 'waiting' && (await this.#services.withdraw(place.job, reason, isOwnReason))
    if (!isWithdrawn) await call()
  }

  async #call<Name extends WorkerCall>(
    call: Name,
    data: Omit<WorkerCallData<Name>, 'inference'>,
    { body, gone }: Pick<Payload, 'body'> & { readonly gone?: AbortSignal } = {},
  ): Promise<Received> {
    const worker = await this.#worker(gone)
    return this.#services.calls.call(worker, call, { data: { inference: this.#name, ...data }, body })
  }

  /**
   * The process that has the inference, once one has.
   *
   * @param gone ends the wait
   * @throws INFERENCE_UNKNOWN when it was withdrawn, or the wait has ended; WORKER_LOST when its job is lost,
   *   and nobody has it begin again
   */
  async #worker(gone?: AbortSignal): Promise<string> {
    let misses = 0
    for (let looks = 1; this.#record.place.kind === 'waiting'; looks++) {
      await sleep(LOOK_MILLISECONDS)
      if (gone?.aborted) throw conflict('INFERENCE_UNKNOWN', 'Nobody waits for this any more')
      if (looks % LOOKS_BETWEEN === 0) {
        const { job, worker } = this.#record.place
        misses = (await this.#services.isQueued(job, worker)) ? 0 : misses + 1
        if (misses === MOST_MISSES) throw new PolyVeilError('WORKER_LOST', 'The inference is lost')
      }
      const record = await this.#services.records.get(this.#name)
      if (record === undefined) throw conflict('INFERENCE_UNKNOWN', CANCELLED, { id: this.id })
      this.#record = record
    }
    return this.#record.place.worker
  }

  get #waiting(): InferenceMoment['snapshot'] {
    const { id, model, rounds, begun } = this.#record
    const seconds = Math.max(0, (Date.now() - begun) / 1000)
    return { id, model, state: 'waiting', done: 0, total: 0, round: 0, rounds, seconds }
  }
}
