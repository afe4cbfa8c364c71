export { circuitDigest, readCircuit, readOutline, writeCircuit } from './format/file.ts'
export { circuitText } from './format/text.ts'
export { galoisElement, rotationSteps } from './keys.ts'
export * from './laws.ts'
export * from './layout.ts'
export { peakLiveBytes, peakLiveValues } from './liveness.ts'
export {
  type CircuitOutline,
  checkManifest,
  type Manifest,
  type ManifestContent,
  manifestOf,
} from './manifest/manifest.ts'
export { operandsOf } from './operands.ts'
export * from './parameters/parameters.ts'
export { nttPrimes } from './parameters/primes.ts'
export { refreshFailure, refreshModulusBits, refreshRounds, segmentsOf } from './refresh.ts'
export type * from './types.ts'
export { verifyCircuit } from './verify.ts'
