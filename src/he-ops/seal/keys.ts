export { galoisElements, generateKeySet } from './keys-generate.ts'
export { type EvaluationKeys, heapBytes, loadKeySet } from './keys-load.ts'
export { generateNativeKeys, type NativeKeyOptions } from './keys-native.ts'
export {
  exportSecretKey,
  generateSecretKey,
  importSecretKey,
  secretPolynomial,
  secretResidues,
} from './keys-secret.ts'
