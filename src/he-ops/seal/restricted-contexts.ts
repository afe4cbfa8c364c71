import {
  type CkksParameters,
  checkParameters,
  parametersLiteral,
} from '../../circuit/parameters/parameters.ts'
import { createSealContext, type SealContext } from './context.ts'
import type { Seal } from './runtime.ts'

/**
 * SEAL contexts of some of the primes, for what needs no more: SEAL takes seconds to make one of a whole
 * chain, and is faster in smaller ones. Keys modulo fewer primes are keys still. Each context is made when it
 * is first asked for.
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
   * The context whose highest level, and only one, is `level`. Its key level has one prime more, which is the
   * chain's next one: polynomials over the first level + 2 of all primes. Lives until this object's `delete`.
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
 * q_0 .. q_level as data primes, and as a special prime, which SEAL cannot do without, the one that follows.
 */
function restricted(parameters: CkksParameters, level: number): CkksParameters {
  const { ring, primes, specialPrimes } = parametersLiteral(parameters)
  const all = [...primes, ...specialPrimes]
  return checkParameters({ ring, primes: all.slice(0, level + 1), specialPrimes: [all[level + 1]] })
}
