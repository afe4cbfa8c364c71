import type { FastifyBaseLogger } from 'fastify'
import type { Tenants } from '../access/tenants.ts'
import type { ServerConfig } from '../config.ts'
import type { Services } from '../services.ts'
import type { Backups } from '../stores/backup.ts'

/** What the management app works on. */
export interface ManagementOptions {
  /** The settings in force. */
  readonly config: ServerConfig
  /** Those of the public app. */
  readonly services: Services
  /** Looks at the models directory now. */
  readonly lookForModels: () => Promise<void>
  /** Absent where the settings have no `backupDir`. */
  readonly backups?: Backups
  /** Whose tokens of the scope `admin` open the port; absent where it is open to this machine. */
  readonly tenants?: Tenants
  readonly logger: FastifyBaseLogger
}
