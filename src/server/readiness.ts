import type { Services } from './services.ts'

/** Why a service, or a part of it, takes no work. Sentences have no names of models or files. */
export interface NotReady {
  readonly part: 'workers' | 'storage' | 'audit' | 'intake' | 'tenants'
  readonly detail: string
}

type ReadyParts = Pick<Services, 'engine' | 'intake' | 'storage' | 'auditLog' | 'tenants'>

const INTAKE = {
  drained: 'The service is drained by its operator',
  ending: 'The service is about to end',
}

/** Why the service takes no inferences and key sets; empty when it is ready. */
export function notReady({ engine, intake, storage, auditLog, tenants }: ReadyParts): NotReady[] {
  const found: NotReady[] = []
  if (!engine.ready) found.push({ part: 'workers', detail: 'No worker runs' })
  if (!storage.isWritable) {
    found.push({ part: 'storage', detail: 'The state cannot be written; the log has the cause' })
  }
  if (!auditLog.isWritable) {
    found.push({ part: 'audit', detail: 'The audit log cannot be written; the log has the cause' })
  }
  if (tenants?.isCurrent === false) {
    found.push({ part: 'tenants', detail: 'The directory of tenants cannot be read; the log has the cause' })
  }
  if (intake.state !== 'open') found.push({ part: 'intake', detail: INTAKE[intake.state] })
  return found
}

/** Whether the service takes inferences and key sets. */
export const isReady = (services: ReadyParts): boolean => notReady(services).length === 0
