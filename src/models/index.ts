export {
  ARCHITECTURES,
  type ArchitectureName,
  type ArchitectureOptions,
  architecture,
} from './architectures.ts'
export {
  type Checkpoint,
  type CheckpointTensor,
  parseSafetensors,
  readCheckpoint,
  readSafetensors,
  readWeights,
  type Weights,
  type WeightsOptions,
} from './checkpoint/index.ts'
export { type NetworkConfig, networkConfig, type PictureConfig } from './config.ts'
export { parseConfig } from './config-json.ts'
export type { DownsizeType, NetworkConfigLiteral } from './config-literal.ts'
export { type CellGeometry, outputSize } from './geometry.ts'
export { loadNetwork } from './load.ts'
export type { Cell, Convolution, Network, PolyConv, PolyMlp, PolyNorm } from './network.ts'
export { PUBLISHED_PREPROCESSINGS } from './preprocessing-defaults.ts'
export { parsePreprocessing } from './preprocessing-json.ts'
export { NORM_EPSILON, type Observer, referenceForward } from './reference/index.ts'
export { type BundledNetwork, bundledNetworks } from './zoo/index.ts'
