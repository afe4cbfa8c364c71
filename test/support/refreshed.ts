import type { PackedFullRlwe, PackedRlwe } from '../../src/wire/index.ts'

/** A key that refreshes ciphertexts. */
interface Refreshing {
  refresh(
    masked: readonly PackedFullRlwe[],
    from: number,
    to: number,
    take: (index: number, fresh: PackedRlwe) => void,
  ): Promise<void>
}

/** Copies of the fresh encryptions of a refresh, by index. */
export async function refreshed(
  key: Refreshing,
  masked: readonly PackedFullRlwe[],
  from: number,
  to: number,
): Promise<PackedRlwe[]> {
  const all: PackedRlwe[] = []
  await key.refresh(masked, from, to, (index, { limbs, seed }) => {
    const copied = limbs.map((limb) => ({ ...limb, bytes: limb.bytes.slice() }))
    all[index] = { limbs: copied, seed: seed.slice() }
  })
  return all
}
