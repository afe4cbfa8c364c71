import { z } from 'zod'

export const INFERENCE_STATES = ['waiting', 'running', 'done', 'failed', 'cancelled'] as const
export type InferenceState = (typeof INFERENCE_STATES)[number]

export const inferenceSchema = z
  .object({
    id: z.string(),
    model: z.string(),
    state: z.enum(INFERENCE_STATES),
    done: z.int().nonnegative().describe('Encrypted operations done'),
    total: z.int().nonnegative().describe('Encrypted operations in all; 0 until the first is done'),
    seconds: z.number().nonnegative().describe('Time since the query arrived, or until the answer was there'),
  })
  .meta({ id: 'Inference' })

export type InferenceSnapshot = z.infer<typeof inferenceSchema>

/** One inference, as it is watched and cancelled. */
export class Inference {
  readonly id: string
  readonly model: string
  readonly #begun = performance.now()
  readonly #cancellation = new AbortController()
  #ended: number | undefined
  #state: InferenceState = 'waiting'
  #done = 0
  #total = 0
  #change = Promise.withResolvers<void>()

  constructor(id: string, model: string) {
    this.id = id
    this.model = model
  }

  get running(): boolean {
    return this.#ended === undefined
  }

  /** Aborted when the inference is to end. */
  get signal(): AbortSignal {
    return this.#cancellation.signal
  }

  get snapshot(): InferenceSnapshot {
    const seconds = ((this.#ended ?? performance.now()) - this.#begun) / 1000
    const { id, model } = this
    return { id, model, state: this.#state, done: this.#done, total: this.#total, seconds }
  }

  progress(done: number, total: number): void {
    if (!this.running) return
    this.#state = 'running'
    this.#done = done
    this.#total = total
    this.#announce()
  }

  /** The inference has ended; nothing changes any more. */
  settle(state: InferenceState): void {
    this.#ended = performance.now()
    this.#state = state
    this.#announce()
  }

  cancel(): void {
    if (this.running) this.#cancellation.abort()
  }

  /** Resolves at the next change; already past when there will be none. */
  get changed(): Promise<void> {
    return this.running ? this.#change.promise : Promise.resolve()
  }

  #announce(): void {
    this.#change.resolve()
    this.#change = Promise.withResolvers()
  }
}
