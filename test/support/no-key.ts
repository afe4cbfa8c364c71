import type { SwitchingKey } from '../../src/he-ops/simd/keys/switching-key.ts'

/** A key at a fictitious address, for programs that are compiled and not run. */
export const noKey: SwitchingKey = { isFar: false, level: 0, digits: 0, indices: [], address: () => 64 }
