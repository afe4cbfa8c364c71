import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Audit } from './access/audit.ts'
import type { AuditHealth } from './access/audit-health.ts'
import type { ImageBudget } from './access/image-budget.ts'
import type { Tenants } from './access/tenants.ts'
import type { EngineAccess } from './inference/engine.ts'
import type { InferenceHost } from './inference/host.ts'
import type { Intake } from './inference/intake.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { ModelCatalogue } from './models/catalogue.ts'
import type { ArrivingBodies } from './plugins/arriving-bodies.ts'
import type { HeldKeys } from './stores/held-keys.ts'
import type { KeyStore } from './stores/key-store.ts'
import type { StorageHealth } from './stores/storage-health.ts'

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

declare module 'fastify' {
  interface FastifyInstance {
    /** Those of the public port. */
    services: Services
  }
}

/** Services that the routes use. */
export interface Services {
  readonly models: ModelCatalogue
  readonly keys: KeyStore
  /** The key sets that the sender of a request may use. */
  readonly keysOf: (request: FastifyRequest) => HeldKeys
  readonly storage: Pick<StorageHealth, 'isWritable' | 'failures'>
  /** Absent where the service is open. */
  readonly tenants: Tenants | undefined
  readonly budget: ImageBudget
  readonly bodies: ArrivingBodies
  readonly audit: Audit
  readonly auditLog: Pick<AuditHealth, 'isWritable'>
  readonly engine: EngineAccess
  readonly host: InferenceHost
  readonly intake: Intake
  readonly metrics: Metrics
}
