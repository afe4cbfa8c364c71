import '../errors/require-node.ts'

export { type Audit, auditTo } from './access/audit.ts'
export { AuditHealth } from './access/audit-health.ts'
export { ImageBudget, type ImageCount, type ImageCounts, type TakenImages } from './access/image-budget.ts'
export {
  changeQuota,
  createToken,
  type QuotaChange,
  revokeToken,
  type TokenRequest,
} from './access/manage-tokens.ts'
export type { Quota, Scope, Tenant } from './access/tenant.ts'
export type { TenantChange } from './access/tenant-changes.ts'
export { TenantFiles } from './access/tenant-files.ts'
export { Tenants } from './access/tenants.ts'
export { type AppOptions, buildApp } from './app.ts'
export type { RedisConnection } from './cluster/exchange/redis-connection.ts'
export { removeOrphans } from './cluster/key-sets/orphans.ts'
export { PieceFiles } from './cluster/key-sets/piece-files.ts'
export { RedisIndex, type RedisIndexOptions } from './cluster/key-sets/redis-index.ts'
export { S3Pieces, type S3PiecesOptions } from './cluster/key-sets/s3-pieces.ts'
export { openSharedStorage, type SharedStorageOptions } from './cluster/key-sets/shared-storage.ts'
export {
  type ConfigSources,
  configSchema,
  readConfig,
  type ServerConfig,
  unknownVariables,
} from './config.ts'
export { localHost } from './execution/local-host.ts'
export type {
  CheckedKeySet,
  EngineAccess,
  EngineLoad,
  InferenceEngine,
  InferenceJob,
  JobOwner,
  StoredKeySet,
} from './inference/engine.ts'
export { InferenceCancelled } from './inference/engine.ts'
export type { InferenceHost } from './inference/host.ts'
export { type LeftOutFile, ModelCatalogue, type ServedModel, servedModel } from './models/catalogue.ts'
export { loadCatalogue, ModelDirectory } from './models/model-directory.ts'
export { createLogger } from './plugins/logging.ts'
export type { JobEvents, LaneEvents, LaneExecutor } from './scheduling/lane-executor.ts'
export { ScheduledEngine, type ScheduledEngineOptions } from './scheduling/scheduled-engine.ts'
export { serve, work } from './serve.ts'
export type { App } from './services.ts'
export { type RunningProcess, type RunningServer, startServer, startWorker } from './start.ts'
export { type DiskStorage, type DiskStorageOptions, openDiskStorage } from './stores/disk-storage.ts'
export type { KeptLocation, KeySetBytes, KeySetStorage } from './stores/key-set-bytes.ts'
export type { KeySetIndex } from './stores/key-set-index.ts'
export type { KeySetLocation, KeySetRecord, RecordTable } from './stores/key-set-record.ts'
export { KeyStore } from './stores/key-store.ts'
export type { KeyStoreLimits } from './stores/key-store-limits.ts'
export { memoryStorage } from './stores/memory-files.ts'
export { StateDatabase } from './stores/state-database.ts'
export { StorageHealth } from './stores/storage-health.ts'
export { WorkerPool, type WorkerPoolOptions } from './worker/pool.ts'
