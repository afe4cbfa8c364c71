import { z } from 'zod'
import { IdleTimer, type Timeouts } from './idle-timer.ts'
import type { AnswerMemory, SentAnswer } from './reply-cache.ts'
import { type EngineOutput, RoundMailbox } from './round-mailbox.ts'

export const INFERENCE_STATES = ['waiting', 'running', 'refresh', 'done', 'failed', 'cancelled'] as const
export type InferenceState = (typeof INFERENCE_STATES)[number]

export const inferenceSchema = z
  .object({
    id: z.string(),
    model: z.string(),
    state: z.enum(INFERENCE_STATES),
    done: z.int().nonnegative().describe('Encrypted operations done'),
    total: z.int().nonnegative().describe('Encrypted operations in all; 0 until the first is done'),
    round: z
      .int()
      .nonnegative()
      .describe('Refresh rounds that are over; in state `refresh` at least one more waits for the client'),
    rounds: z.int().nonnegative().describe('Refresh rounds in all; 0 is one shot'),
    seconds: z.number().nonnegative().describe('Time since the query arrived, or until the answer was there'),
  })
  .meta({ id: 'Inference' })

export type InferenceSnapshot = z.infer<typeof inferenceSchema>

/** A state of an inference. A later state has a greater version. */
export interface InferenceMoment {
  readonly version: number
  readonly running: boolean
  readonly snapshot: InferenceSnapshot
}

/** Times in milliseconds. An inference that exceeds one of the first two is cancelled. */
export interface InferenceLimits {
  /** Limits on the client while the inference waits for it. */
  readonly client: Timeouts
  /** Limit from the query on. */
  readonly total: number
  /** Time for which the answer of an asynchronous inference is kept. */
  readonly answer: number
}

export interface InferenceOptions {
  readonly id: string
  /** The key of the registry. */
  readonly key: string
  readonly model: string
  /** Refresh rounds of the model. */
  readonly rounds: number
  /** Whether the client fetches the answer by a request of its own, and none of its requests stays open. */
  readonly isAsync?: boolean
  /** Encodes an output of the engine as the bytes that the client gets. */
  readonly encode: (inference: Inference, output: EngineOutput) => SentAnswer
  /** Called when an output begins to be sent; the function that it returns, when it has been sent. */
  readonly onSending?: () => () => void
  readonly cache: AnswerMemory
  readonly limits: InferenceLimits
}

/** A client fetches a round and sends its reply, and repeats either when the network fails. */
const FREE_REQUESTS_PER_ROUND = 6

const SILENT = 'The inference was ended, because its client had to act and was silent'
const TOO_LONG = 'The inference was ended, because it took longer than maxInferenceMinutes'
/** Why inferences end with the service. */
export const CLOSING = 'The inference was ended, because the server shuts down'
const EVICTED =
  'The inference was ended, because its client was silent while others waited for the memory that it held'

/** State of one inference: progress, refresh rounds and cancellation. */
export class Inference {
  readonly id: string
  readonly key: string
  readonly model: string
  readonly isAsync: boolean
  readonly onSending: () => () => void
  readonly rounds: RoundMailbox
  readonly idleTimer: IdleTimer
  readonly #total: number
  readonly #begun = performance.now()
  readonly #cancellation = new AbortController()
  readonly #limit: NodeJS.Timeout
  #ended: number | undefined
  #state: InferenceState = 'waiting'
  #done = 0
  #operations = 0
  #round = 0
  #waiting = 0
  #isStopped = false
  #isFetched = false
  #freeRequests: number
  #version = 0
  #change = Promise.withResolvers<void>()

  constructor(options: InferenceOptions) {
    const { id, key, model, rounds, isAsync = false, encode, onSending = () => () => {}, cache } = options
    const { limits } = options
    this.id = id
    this.key = key
    this.model = model
    this.isAsync = isAsync
    this.onSending = onSending
    this.#total = rounds
    this.#freeRequests = FREE_REQUESTS_PER_ROUND * (rounds + 1)
    this.idleTimer = new IdleTimer(limits.client, () => this.cancel(SILENT))
    this.#limit = setTimeout(() => this.stop(TOO_LONG), limits.total).unref()
    this.rounds = new RoundMailbox({
      encode: (output) => encode(this, output),
      rounds,
      onWaiting: (waiting, over) => this.#wait(waiting, over),
      cache,
    })
  }

  /** Whether it is done, and its answer is kept and has not begun to be sent to the client. */
  get isUnfetched(): boolean {
    return this.#state === 'done' && !this.#isFetched && this.rounds.hasLogits
  }

  /** Notes that an output begins to be sent to the client: a round, or the logits by the number of rounds. */
  sends(output: number, bytes: number): void {
    this.#isFetched ||= output === this.#total
    this.idleTimer.sends(output, bytes)
  }

  get running(): boolean {
    return this.#ended === undefined
  }

  /** Aborted by `cancel`. */
  get signal(): AbortSignal {
    return this.#cancellation.signal
  }

  get snapshot(): InferenceSnapshot {
    const seconds = ((this.#ended ?? performance.now()) - this.#begun) / 1000
    const { id, model } = this
    return {
      id,
      model,
      state: this.#state,
      done: this.#done,
      total: this.#operations,
      round: this.#round,
      rounds: this.#total,
      seconds,
    }
  }

  progress(done: number, total: number): void {
    if (!this.running) return
    this.#state = this.#waiting > 0 ? 'refresh' : 'running'
    this.#done = done
    this.#operations = total
    this.#announce()
  }

  /** Ends the inference. Its state does not change afterwards. */
  settle(state: InferenceState): void {
    this.#ended = performance.now()
    this.#state = state
    if (state === 'done') {
      // The result may arrive before the last reports of progress and rounds, which use another channel.
      this.#done = this.#operations
      this.#round = this.#total
    }
    this.idleTimer.expect(false)
    clearTimeout(this.#limit)
    // Clients may still fetch the outputs of an inference that is done, and of no other.
    if (state !== 'done') this.rounds.clear()
    this.#announce()
  }

  /**
   * Takes one of the requests for rounds that do not count against the rate limit. @returns whether there was
   * one
   */
  takeFreeRequest(): boolean {
    this.#freeRequests--
    return this.#freeRequests >= 0
  }

  /**
   * Ends the inference, because its client wants that or does not do its part.
   *
   * @param reason a sentence that tells the client why
   */
  cancel(reason = 'The inference was cancelled'): void {
    if (this.running) this.#cancellation.abort(reason)
  }

  /** Ends the inference for a reason of the server's own. */
  stop(reason: string): void {
    if (!this.running || this.signal.aborted) return
    this.#isStopped = true
    this.cancel(reason)
  }

  /** Whether the server ended it for a reason of its own. */
  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Ends the inference, because others wait for its memory. */
  evict(): void {
    this.stop(EVICTED)
  }

  /** Why the inference was cancelled. */
  get cancelReason(): string {
    return String(this.#cancellation.signal.reason)
  }

  /** The first state behind a version, or the last one of an inference that has ended. */
  async moment(after = -1): Promise<InferenceMoment> {
    while (this.running && this.#version <= after) await this.#change.promise
    return { version: this.#version, running: this.running, snapshot: this.snapshot }
  }

  #wait(waiting: number, over: number): void {
    if (!this.running) return
    this.#waiting = waiting
    this.#round = over
    this.#state = waiting > 0 ? 'refresh' : 'running'
    this.idleTimer.expect(waiting > 0)
    this.#announce()
  }

  #announce(): void {
    this.#version++
    this.#change.resolve()
    this.#change = Promise.withResolvers()
  }
}
