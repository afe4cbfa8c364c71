export { readCheckpoint } from './read.ts'
export { parseSafetensors, readSafetensors } from './safetensors.ts'
export type { Checkpoint, CheckpointTensor } from './tensor.ts'
