export type { DotTerm, Evaluator } from './backend.ts'
export {
  type ClearCiphertext,
  type ClearEvaluator,
  type ClearOptions,
  createClearEvaluator,
} from './clear/evaluator.ts'
export { decodePeriodic, periodicPart } from './encoding/decode-periodic.ts'
export { type ExecuteOptions, ExecutionStopped, execute } from './executor.ts'
export * from './noise.ts'
export type { ConstantSourceOptions } from './seal/constants.ts'
export { createSealContext, type SealContext } from './seal/context.ts'
export { decryptSlots, encryptSlots } from './seal/encryptor.ts'
export { createSealEvaluator, type SealEvaluator } from './seal/evaluator.ts'
export * from './seal/keys/index.ts'
export { rerandomise } from './seal/rerandomise.ts'
export { loadSeal, type Seal } from './seal/runtime.ts'
export { ciphertextFromWire, ciphertextToWire } from './seal/serialization/ciphertexts.ts'
