import { constantForBatch } from '../../circuit/image-batch.ts'
import type { Circuit, Op } from '../../circuit/types.ts'

type Body = Pick<Circuit, 'ops' | 'constants'>

/**
 * From operations on the slots of one image to those on ciphertexts that a batch of images shares: rotations
 * go by as many times the steps, and constants repeat each number for every image. Values, levels, scales and
 * counts stay as they are.
 */
export function widen({ ops, constants }: Body, batch: number): Body {
  if (batch === 1) return { ops, constants }
  return {
    ops: ops.map((op): Op => (op.kind === 'rotate' ? { ...op, steps: op.steps * batch } : op)),
    constants: constants.map((constant) => constantForBatch(constant, batch)),
  }
}
