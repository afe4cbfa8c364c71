export { readCheckpoint, readWeights, type WeightsOptions } from './read.ts'
export { parseSafetensors, readSafetensors } from './safetensors.ts'
export type { Checkpoint, CheckpointTensor, Weights } from './tensor.ts'
