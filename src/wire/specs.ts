import type { Manifest } from '../circuit/manifest/manifest.ts'
import type { TensorSpec } from './tensor.ts'

/** The form of a query: fresh symmetric encryptions, seeded. */
export const querySpec = ({ input, digest }: Manifest): TensorSpec => ({
  ciphertexts: input.layout.ciphertexts,
  level: input.level,
  scale: input.scale,
  seeded: true,
  manifestDigest: digest,
})

/** The form of an answer: one ciphertext without a seed, because it is the result of a computation. */
export const responseSpec = ({ output, digest }: Manifest): TensorSpec => ({
  ciphertexts: 1,
  level: output.level,
  scale: output.scale,
  seeded: false,
  manifestDigest: digest,
})

/**
 * The form of the tensor that the server sends in a refresh round: values at the refresh level, masked and
 * re-randomised.
 *
 * @param round below the manifest's rounds
 */
export const maskedSpec = ({ refresh, digest }: Manifest, round: number): TensorSpec => ({
  ciphertexts: refresh!.ciphertexts[round],
  level: refresh!.level,
  scale: 1,
  seeded: false,
  manifestDigest: digest,
  refresh: { kind: 'masked', round },
})

/**
 * The form of the client's reply in a refresh round: fresh encryptions of the same integers at the highest
 * level.
 */
export const refreshedSpec = ({ refresh, digest, parameters }: Manifest, round: number): TensorSpec => ({
  ciphertexts: refresh!.ciphertexts[round],
  level: parameters.primes.length - 1,
  scale: 1,
  seeded: true,
  manifestDigest: digest,
  refresh: { kind: 'refreshed', round },
})
