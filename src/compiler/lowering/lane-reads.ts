import { lanesIn } from '../../circuit/layout.ts'
import type { Layout } from '../../circuit/types.ts'

/** A ciphertext of inputs that a ciphertext of outputs reads, and how far its lanes have to move. */
export interface LaneRead {
  /** Index of the input ciphertext. */
  readonly index: number
  /** Lane l of the output reads lane l + shift of the input. */
  readonly shift: number
}

/** The input channel of an output channel, for layers with one filter for each output. */
export const inputChannel = (output: number, inputs: number): number => output % inputs

/**
 * The reads of an output ciphertext whose channel o is made from channel o mod C of the input. With as many
 * outputs as inputs it reads the input ciphertext of its own index, in place.
 */
export function laneReads(input: Layout, output: Layout, ciphertext: number): LaneRead[] {
  const reads = new Map<string, LaneRead>()
  const first = ciphertext * output.channelsPerCiphertext
  for (let lane = 0; lane < lanesIn(output, ciphertext); lane++) {
    for (let part = 0; part < output.parts; part++) {
      const channel = first + lane * output.parts + part
      if (channel >= output.channels) continue
      const from = inputChannel(channel, input.channels)
      const index = Math.floor(from / input.channelsPerCiphertext)
      const shift = Math.floor((from % input.channelsPerCiphertext) / input.parts) - lane
      reads.set(`${index} ${shift}`, { index, shift })
    }
  }
  return [...reads.values()]
}
