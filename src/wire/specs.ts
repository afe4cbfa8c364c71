import type { Manifest } from '../circuit/manifest.ts'
import type { TensorSpec } from './tensor.ts'

/** What the encrypted image of a query has to be: fresh symmetric encryptions, seeded. */
export const querySpec = ({ input, digest }: Manifest): TensorSpec => ({
  ciphertexts: input.layout.ciphertexts,
  level: input.level,
  scale: input.scale,
  seeded: true,
  manifestDigest: digest,
})

/** What the encrypted logits have to be: one ciphertext, no seed, for it is the result of a computation. */
export const responseSpec = ({ output, digest }: Manifest): TensorSpec => ({
  ciphertexts: 1,
  level: output.level,
  scale: output.scale,
  seeded: false,
  manifestDigest: digest,
})
