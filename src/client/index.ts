import '../errors/require-node.ts'

export type { Manifest } from '../circuit/manifest/manifest.ts'
export { PolyVeilError } from '../errors/index.ts'
export type { Image, PreprocessedImage } from '../preprocessing/index.ts'
export { type ConnectOptions, connect } from './connect.ts'
export { type ConnectInWorkerOptions, connectInWorker } from './in-worker/connect-in-worker.ts'
export type { Connection, KeySetCalls } from './in-worker/connection.ts'
export { WorkerPolyVeil } from './in-worker/worker-polyveil.ts'
export {
  type DeletedKeys,
  type DeleteOptions,
  deleteKeys,
  type KeptKey,
  type KeptKeySet,
  KeyLife,
  listKeys,
  type RotatedKeys,
} from './key-life.ts'
export type { UploadedKeys } from './key-sets.ts'
export { type DirectoryKeyStoreOptions, directoryKeyStore } from './keys/directory-key-store.ts'
export {
  type IndexedDbKeyStore,
  type IndexedDbKeyStoreOptions,
  indexedDbKeyStore,
} from './keys/indexed-db-key-store.ts'
export { type KeyStore, memoryKeyStore } from './keys/key-store.ts'
export { type Classification, rank, readBatch, roundLogits } from './local/answer.ts'
export type { ImageInput } from './local/image-argument.ts'
export { batchSlots, imageSlots, imageTensor } from './local/input.ts'
export { KeyRing } from './local/key-ring.ts'
export {
  type ClientLimits,
  DEFAULT_LIMITS,
  type ModelSizes,
  type RoundSizes,
  refreshBytes,
} from './local/limits.ts'
export { type DecryptOptions, LocalModel } from './local/local-model.ts'
export type { ClassifyOptions } from './many.ts'
export type { ManifestChange } from './pins/change.ts'
export type { PinPolicy } from './pins/pins.ts'
export { type OfferedModel, PolyVeil } from './polyveil.ts'
export type { CallOptions, ClientProgress } from './progress.ts'
