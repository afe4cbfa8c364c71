import { constantForBatch } from '../../circuit/image-batch.ts'
import type { Circuit, Op } from '../../circuit/types.ts'

type Body = Pick<Circuit, 'ops' | 'constants'>

/**
 * Turns operations on the slots of one image into operations on ciphertexts that a batch of images shares.
 * Steps of rotations are multiplied by the batch, and constants repeat each number for every image. Values,
 * levels and scales are unchanged.
 */
export function widen({ ops, constants }: Body, batch: number): Body {
  if (batch === 1) return { ops, constants }
  return {
    ops: ops.map((op): Op => (op.kind === 'rotate' ? { ...op, steps: op.steps * batch } : op)),
    constants: constants.map((constant) => constantForBatch(constant, batch)),
  }
}
