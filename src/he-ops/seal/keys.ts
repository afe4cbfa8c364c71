export { galoisElements, generateKeySet, keySetOf } from './keys-generate.ts'
export { type EvaluationKeys, heapBytes, loadKeySet } from './keys-load.ts'
export { generateNativeKeys, type NativeKeyOptions } from './keys-native.ts'
export { sampleSecretKey } from './keys-sample.ts'
export {
  exportSecretKey,
  generateSecretKey,
  importSecretKey,
  loadSecretKey,
  secretPolynomial,
  secretResidues,
} from './keys-secret.ts'
