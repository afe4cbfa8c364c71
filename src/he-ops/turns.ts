import type { ExecutionControl } from './engine.ts'
import { ExecutionStopped } from './executor.ts'

/** How a caller ends what it waits for. */
export type StopSignal = Pick<ExecutionControl, 'shouldStop' | 'stopped'>

/** Runs work one after another. */
export class Turns {
  #last: Promise<void> = Promise.resolve()

  /**
   * Runs work when all earlier work has ended, also that which has failed. Work that is stopped while it
   * waits ends before what it waits for.
   *
   * @throws ExecutionStopped, and errors of the work
   */
  take<T>(work: () => Promise<T>, stop: StopSignal = {}): Promise<T> {
    const before = this.#last
    const result = waitFor(before, stop).then(work)
    // Without values: a promise of them would keep every result in memory, each in the one after it.
    this.#last = Promise.allSettled([before, result]).then(() => {})
    return result
  }
}

/** Waits for an event, or until the caller stops. @throws ExecutionStopped */
export async function waitFor(event: Promise<unknown>, { shouldStop, stopped }: StopSignal): Promise<void> {
  await (stopped === undefined ? event : Promise.race([event, stopped]))
  if (shouldStop?.()) throw new ExecutionStopped(0)
}
