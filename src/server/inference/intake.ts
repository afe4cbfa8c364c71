import { PolyVeilError } from '../../errors/index.ts'

const LOOK_MILLISECONDS = 50

const REFUSALS = {
  drained: {
    message: 'The service is drained by its operator; it finishes what runs, and takes nothing new',
    retryAfter: 30,
  },
  ending: {
    message: 'The service is about to end; it finishes what runs, and takes nothing new',
    retryAfter: 5,
  },
}

/**
 * Whether the service takes new work. A service that is drained, or told to end, finishes what runs, and
 * takes nothing new.
 */
export class Intake {
  #isEnding = false
  #isDrained = false

  get state(): 'open' | 'drained' | 'ending' {
    if (this.#isEnding) return 'ending'
    return this.#isDrained ? 'drained' : 'open'
  }

  get isOpen(): boolean {
    return this.state === 'open'
  }

  /** @throws TOO_BUSY when the service takes nothing new */
  require(): void {
    const { state } = this
    if (state === 'open') return
    const { message, retryAfter } = REFUSALS[state]
    throw new PolyVeilError('TOO_BUSY', message, { retryAfter })
  }

  /** Takes nothing new until `resume`. */
  pause(): void {
    this.#isDrained = true
  }

  /** Ends `pause`. A service that is about to end stays closed. */
  resume(): void {
    this.#isDrained = false
  }

  /** Takes nothing new from now on, and waits while `isBusy` says so, or for `milliseconds` at most. */
  async drain(isBusy: () => boolean, milliseconds: number): Promise<void> {
    this.#isEnding = true
    const end = performance.now() + milliseconds
    while (isBusy() && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MILLISECONDS))
    }
  }
}
