import './errors/require-node.ts'

// The way from a checkpoint to answers, for programs. What is for one side alone has an entry of its own:
// polyveil/client (browsers too), polyveil/compiler, polyveil/server.

export { type Circuit, readCircuit, writeCircuit } from './circuit/index.ts'
export {
  type Classification,
  type ClassifyOptions,
  type ConnectOptions,
  connect,
  type DirectoryKeyStoreOptions,
  directoryKeyStore,
  type ImageInput,
  type KeyStore,
  memoryKeyStore,
  type PolyVeil,
} from './client/index.ts'
export { type Compiled, type CompileOptions, compile, type PlanReport } from './compiler/index.ts'
export { ERROR_CODES, type ErrorCodeName, type ErrorFacts, PolyVeilError } from './errors/index.ts'
export {
  architecture,
  type Checkpoint,
  loadNetwork,
  type Network,
  type NetworkConfig,
  parseConfig,
  readCheckpoint,
} from './models/index.ts'
export { VERSION } from './version.ts'
