import {
  type CkksParameters,
  checkParameters,
  parametersLiteral,
} from '../../circuit/parameters/parameters.ts'
import { createSealContext, type SealContext } from './context.ts'
import type { Seal } from './runtime.ts'

/**
 * SEAL contexts of some of the primes, each made at its first use. SEAL takes seconds to make a context of a
 * whole chain, and is faster in smaller ones. A key modulo fewer primes is a key too.
 */
export class RestrictedContexts {
  readonly seal: Seal
  readonly parameters: CkksParameters
  readonly #made = new Map<number, SealContext>()

  constructor(seal: Seal, parameters: CkksParameters) {
    this.seal = seal
    this.parameters = parameters
  }

  /**
   * The context with `level` as its highest and only level. Its key level has one more prime, the next one of
   * the chain: its polynomials are over the first level + 2 of all primes. Lives until this object's
   * `delete`.
   */
  at(level: number): SealContext {
    let context = this.#made.get(level)
    if (context === undefined) {
      context = createSealContext(this.seal, restricted(this.parameters, level), 'highest level')
      this.#made.set(level, context)
    }
    return context
  }

  delete(): void {
    for (const context of this.#made.values()) context.delete()
    this.#made.clear()
  }
}

/**
 * Parameters with q_0 .. q_level as data primes, and the next prime as the special prime, without which SEAL
 * does not work.
 */
function restricted(parameters: CkksParameters, level: number): CkksParameters {
  const { ring, primes, specialPrimes } = parametersLiteral(parameters)
  const all = [...primes, ...specialPrimes]
  return checkParameters({ ring, primes: all.slice(0, level + 1), specialPrimes: [all[level + 1]] })
}
