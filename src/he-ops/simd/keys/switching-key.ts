import type { RaiseKeyName } from '../../../wire/index.ts'

/**
 * A key switching key in memory, in Montgomery form and NTT form: a pair of polynomials for each digit. It
 * has the primes and the digits of its level and of lower ones, and the special primes.
 */
export interface SwitchingKey {
  /** Whether it is in far memory. Programs read it through a `KeyWindow`. */
  readonly isFar: boolean
  /** The highest level at which it can be used. */
  readonly level: number
  /** Number of its pairs. */
  readonly digits: number
  /** Indices into the context's moduli of each polynomial's limbs, in the order of memory. */
  readonly indices: readonly number[]
  /** Address of polynomial `p` of digit j's pair modulo `moduli[index]` of the key's context. */
  address(j: number, p: number, index: number): number
}

/** The keys of the ephemeral secret. That of `down` is in the context `SimdContext.ephemeral`. */
export type RaiseKeys = Readonly<Record<RaiseKeyName, SwitchingKey>>
