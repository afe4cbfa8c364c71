export { generateKeySet } from './generate.ts'
export { type EvaluationKeys, heapBytes, loadKeySet } from './load.ts'
export { generateNativeKeys, type NativeKeyOptions } from './native.ts'
export {
  exportSecretKey,
  generateSecretKey,
  importSecretKey,
  loadSecretKey,
  secretPolynomial,
  secretResidues,
} from './secret.ts'
export { noEphemeralSecrets } from './switching.ts'
