export { circuitDigest, readCircuit, readOutline, writeCircuit } from './file.ts'
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
} from './manifest.ts'
export { operandsOf } from './operands.ts'
export * from './parameters.ts'
export { nttPrimes } from './primes.ts'
export { refreshFailure, refreshModulusBits, refreshRounds, segmentsOf } from './refresh.ts'
export { circuitText } from './text.ts'
export type * from './types.ts'
export { verifyCircuit } from './verify.ts'
