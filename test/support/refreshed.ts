import type { ClientKey } from '../../src/he-ops/client/client-key.ts'
import type { PackedFullRlwe, PackedRlwe } from '../../src/wire/index.ts'

/** Copies of the fresh encryptions of a refresh, by index. */
export async function refreshed(
  key: Pick<ClientKey, 'refresh'>,
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
