import { partsFor } from '../../../circuit/layout.ts'
import type { Graph, Shape } from '../../graph/graph.ts'
import { nextPowerOfTwo } from '../../packing/choose.ts'
import { slotsNeeded } from '../modulus/rings.ts'

/** Numbers of copies that are tried below the largest one, each half of the one before. */
const FEWER = 1

/**
 * Numbers of copies of an image in its slots that are worth trying, the largest first. An image that leaves
 * slots empty can be there several times. A restoration then takes fewer stages of the transform, and one
 * sine instead of two. With more copies than these some tensor takes more ciphertexts, each of which would be
 * restored.
 */
export function copiesWorthTrying(graph: Graph, ring: number): number[] {
  const needed = ciphertextsOf(graph, ring / 2)
  let most = 1
  for (let copies = 2; ring / 2 / copies >= slotsNeeded(graph); copies *= 2) {
    if (ciphertextsOf(graph, ring / 2 / copies) > needed) break
    most = copies
  }
  const tried = Array.from({ length: FEWER + 1 }, (_, i) => most / 2 ** i).filter((copies) => copies >= 1)
  return tried
}

/** Ciphertexts of all tensors, each in the densest layout. */
const ciphertextsOf = ({ nodes }: Graph, slots: number): number =>
  nodes.reduce((sum, { shape }) => sum + densestCiphertexts(shape, slots), 0)

function densestCiphertexts([channels, height = 1, width = 1]: Shape, slots: number): number {
  const lanes = Math.max(1, Math.floor(slots / nextPowerOfTwo(height * width)))
  return Math.ceil(channels / partsFor(channels) / lanes)
}
