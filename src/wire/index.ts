export { packedBytes } from './bits.ts'
export { FRAME_DIGEST_BYTES, frameDigest } from './frame.ts'
export { checkGaloisElements } from './galois-elements.ts'
export { type KeySetLayout, keySetBytes, keySetLayout, type RaiseKeyName } from './key-set-layout.ts'
export {
  type KeySetReader,
  keysMissing,
  openKeySet,
  raiseKeysMissing,
  verifyKeySet,
} from './key-set-reader.ts'
export { type KeySetMaker, writeKeySet } from './key-set-writer.ts'
export { type Polynomial, type PolynomialShape, polynomialHalves, residueTooLarge } from './polynomial.ts'
export {
  type FullRlwe,
  isSeeded,
  type PackedFullRlwe,
  type PackedLimb,
  type PackedRlwe,
  type Rlwe,
  SEED_BLAKE2XB,
  SEED_BYTES,
  type SeededRlwe,
} from './rlwe.ts'
export { decodeSecretKey, encodeSecretKey, secretKeyParameters } from './secret-key.ts'
export { type ByteSource, bytesSource, readExactly } from './source.ts'
export { maskedSpec, querySpec, refreshedSpec, responseSpec } from './specs.ts'
export {
  decodeFullTensor,
  decodeTensor,
  encodeTensor,
  levelShape,
  openFullTensor,
  openTensor,
  type TensorShape,
  type TensorSpec,
  TensorWriter,
  tensorBytes,
} from './tensor.ts'
