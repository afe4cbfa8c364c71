import { PolyVeilError } from '../errors/index.ts'

/** After which failures work begins again from the start, and how often. */
export interface Rule {
  readonly covers: (error: PolyVeilError) => boolean
  /** How often the work begins again at most. */
  readonly times: number
  /**
   * Prepares the next try.
   *
   * @param time which beginning after such a failure this is, from 1 on
   */
  readonly prepare?: (error: PolyVeilError, time: number) => void | Promise<void>
  /** The error for the caller when no beginning is left; the last failure when absent. */
  readonly givenUp?: (error: PolyVeilError) => PolyVeilError
}

/**
 * Does work, and does it again from the start after failures that a rule covers.
 *
 * @param rules each counts its own beginnings
 * @throws failures that no rule covers, those beyond the number of a rule, and errors of `prepare`
 */
export async function beginningAgain<T>(work: () => Promise<T>, rules: readonly Rule[]): Promise<T> {
  const begun = new Map<Rule, number>()
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof PolyVeilError)) throw error
      const rule = rules.find(({ covers }) => covers(error))
      if (rule === undefined) throw error
      const time = (begun.get(rule) ?? 0) + 1
      if (time > rule.times) throw rule.givenUp?.(error) ?? error
      begun.set(rule, time)
      await rule.prepare?.(error, time)
    }
  }
}
