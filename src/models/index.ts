export { type ArchitectureName, type ArchitectureOptions, architecture } from './architectures.ts'
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
export type { NetworkConfig, PictureConfig } from './config.ts'
export { type ConfigOverrides, parseConfig } from './config-json.ts'
export { type CPolyNeXtConfig, cpolynextConfig } from './families/cpolynext/config.ts'
export type { CellGeometry } from './families/cpolynext/geometry.ts'
export type { CPolyNeXtLiteral, DownsizeType } from './families/cpolynext/literal.ts'
export { type DttnConfig, dttnConfig } from './families/dttn/config.ts'
export { ARCHITECTURES, FAMILIES, familyOf } from './families/index.ts'
export { type MonetConfig, monetConfig } from './families/monet/config.ts'
export type { Family } from './family.ts'
export { outputSize } from './kernel.ts'
export {
  type Convolution,
  isPositionNorm,
  NORM_EPSILON,
  type Norm,
  type PolyAttention,
  type PositionNorm,
} from './layers.ts'
export { loadNetwork } from './load.ts'
export type { Network, Operation, OperationOf } from './network.ts'
export { PUBLISHED_PREPROCESSINGS } from './preprocessing-defaults.ts'
export { parsePreprocessing } from './preprocessing-json.ts'
export { type Observer, referenceForward } from './reference/index.ts'
export type { TensorSource } from './tensor-reader.ts'
export { type BundledNetwork, bundledNetworks } from './zoo/index.ts'
