import { PolyVeilError } from '../../errors/index.ts'
import type { InferenceRegistry } from './registry.ts'

const LOOK_MILLISECONDS = 50

/**
 * Whether the service takes new work. A service that is told to end finishes what runs, and takes nothing
 * new.
 */
export class Intake {
  #isOpen = true

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** @throws TOO_BUSY when the service is about to end */
  require(): void {
    if (this.#isOpen) return
    throw new PolyVeilError(
      'TOO_BUSY',
      'The service is about to end; it finishes what runs, and takes nothing new',
      { retryAfter: 5 },
    )
  }

  /** Takes nothing new from now on, and waits until no inference runs, or for `milliseconds` at most. */
  async drain(inferences: Pick<InferenceRegistry, 'running'>, milliseconds: number): Promise<void> {
    this.#isOpen = false
    const end = performance.now() + milliseconds
    while (inferences.running > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MILLISECONDS))
    }
  }
}
