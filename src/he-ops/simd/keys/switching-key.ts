import type { RaiseKeyName } from '../../../wire/index.ts'

/**
 * A key switching key in kernel memory, in Montgomery form and NTT form: a pair of polynomials for each
 * digit.
 */
export interface SwitchingKey {
  /** Address of polynomial `p` of digit j's pair modulo `moduli[index]` of the key's context. */
  address(j: number, p: number, index: number): number
}

/** The keys of the ephemeral secret. That of `down` is in the context `SimdContext.ephemeral`. */
export type RaiseKeys = Readonly<Record<RaiseKeyName, SwitchingKey>>
