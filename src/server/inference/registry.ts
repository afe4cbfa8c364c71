import { randomUUID } from 'node:crypto'
import { PolyVeilError } from '../../errors/index.ts'
import { conflict } from '../problems/http-error.ts'
import { Inference, type InferenceState } from './inference.ts'

// Ended inferences are remembered so long that whoever watched them can still learn how they ended.
const MEMORY_MILLISECONDS = 60_000
const MEMORY_ENTRIES = 1000

/** The inferences under way, and for a minute those that have ended. */
export class InferenceRegistry {
  readonly #inferences = new Map<string, Inference>()

  /** @throws CONFIG_INVALID (409) when an inference of that id is under way */
  begin(model: string, id: string = randomUUID()): Inference {
    if (this.#inferences.get(id)?.running) {
      throw conflict('CONFIG_INVALID', 'An inference of that id is under way; choose another', { id })
    }
    const inference = new Inference(id, model)
    // Set anew, so that the map stays in the order of beginnings.
    this.#inferences.delete(id)
    this.#inferences.set(id, inference)
    return inference
  }

  /** @throws INFERENCE_UNKNOWN */
  get(id: string): Inference {
    const inference = this.#inferences.get(id)
    if (inference) return inference
    throw new PolyVeilError('INFERENCE_UNKNOWN', 'There is no inference of that id')
  }

  end(inference: Inference, state: InferenceState): void {
    inference.settle(state)
    setTimeout(() => this.#forget(inference), MEMORY_MILLISECONDS).unref()
    this.#forgetSurplus()
  }

  cancelAll(): void {
    for (const inference of this.#inferences.values()) inference.cancel()
  }

  /** The oldest go first. */
  #forgetSurplus(): void {
    const surplus = Math.max(0, this.#inferences.size - MEMORY_ENTRIES)
    const ended = [...this.#inferences.values()].filter(({ running }) => !running)
    for (const inference of ended.slice(0, surplus)) this.#forget(inference)
  }

  #forget(inference: Inference): void {
    if (this.#inferences.get(inference.id) === inference) this.#inferences.delete(inference.id)
  }
}
