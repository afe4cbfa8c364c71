import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import { FRAME_DIGEST_BYTES, FRAME_HEADER_BYTES, frameBinding, openFrame, sealFrame } from './frame.ts'
import { type Polynomial, polynomialBytes, readPolynomial, writePolynomial } from './polynomial.ts'

/** A secret key is one polynomial over data and special primes. */
const secretShape = ({ ring, primes, specialPrimes }: CkksParameters) => ({
  ring,
  primes: [...primes, ...specialPrimes],
})

/** A secret key's frame, for key stores. It is as secret as the key; the caller encrypts it at rest. */
export function encodeSecretKey(parameters: CkksParameters, secret: Polynomial): Uint8Array {
  const shape = secretShape(parameters)
  const body = new Uint8Array(polynomialBytes(shape))
  writePolynomial(shape, secret, body)
  return sealFrame('secretKey', parameters.digest, body)
}

/**
 * Reads a secret key's frame and checks all of it.
 *
 * @throws PARAMETERS_MISMATCH when the key was made for other parameters
 * @throws TOO_LARGE, TENSOR_MALFORMED when it is too long, cut off or altered
 */
export function decodeSecretKey(parameters: CkksParameters, frame: Uint8Array): Polynomial {
  const shape = secretShape(parameters)
  const length = FRAME_HEADER_BYTES + polynomialBytes(shape) + FRAME_DIGEST_BYTES
  return readPolynomial(shape, openFrame(frame, { kind: 'secretKey', binding: parameters.digest, length }))
}

/**
 * The digest of the parameters that a secret key's frame names. Only the header is read.
 *
 * @returns undefined when the bytes do not begin as a secret key's frame
 */
export const secretKeyParameters = (frame: Uint8Array): string | undefined => frameBinding(frame, 'secretKey')
