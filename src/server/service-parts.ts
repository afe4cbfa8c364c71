import type { Logger } from 'pino'
import type { Audit } from './access/audit.ts'
import type { ImageBudget } from './access/image-budget.ts'
import type { Tenants } from './access/tenants.ts'
import type { HostParts } from './app.ts'
import type { ServerConfig } from './config.ts'
import type { EngineAccess } from './inference/engine.ts'
import type { InferenceHost } from './inference/host.ts'
import type { Intake } from './inference/intake.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { ModelDirectory } from './models/model-directory.ts'
import type { RequestStore } from './plugins/request-counts.ts'
import type { Services } from './services.ts'
import type { BackupSource } from './stores/backup.ts'
import type { KeyStore } from './stores/key-store.ts'

/** What all forms of the service begin with. */
export interface ServiceBase {
  readonly config: ServerConfig
  readonly directory: ModelDirectory
  readonly audit: Audit
  /** Absent where the service is open. */
  readonly tenants: Tenants | undefined
  readonly metrics: Metrics
  readonly logger: Logger
}

/** What differs between a service in one process and the processes of one on several machines. */
export interface ServiceParts {
  readonly keys: KeyStore
  readonly storage: Services['storage']
  readonly engine: EngineAccess
  readonly host: (parts: HostParts) => InferenceHost
  readonly budget: ImageBudget
  /** Counts requests; by default in this process alone. */
  readonly counts?: RequestStore
  /** What backups copy, where this process can make them. */
  readonly backup?: BackupSource
  /** Begins to take work that does not come by requests, while the intake is open. */
  open?(intake: Intake): void
  /** Takes no more of it, and leaves to others what waits. */
  pause?(): Promise<void>
  /** Called when nothing runs any more. */
  close(): Promise<void>
}
