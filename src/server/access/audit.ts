import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { shownAddress } from '../addresses/client-address.ts'
import { HttpError } from '../problems/http-error.ts'
import { AuditHealth } from './audit-health.ts'
import type { TenantChange } from './tenant-changes.ts'

/** What an audit log records. */
export type AuditEvent =
  | 'access refused'
  | 'key set announced'
  | 'key set complete'
  | 'key set deleted'
  | 'key set removed'
  | 'key set of another tenant asked for'
  | 'query taken'
  | 'query refused: budget spent'
  | 'images given back'
  | 'requests refused: too many'
  | 'key set deleted by an operator'
  | 'inference cancelled by an operator'
  | 'drained by an operator'
  | 'drain ended by an operator'
  | 'backup begun by an operator'
  | 'events not recorded'
  | TenantChange['event']

/** A service does not do these unless they can be recorded. */
const ESSENTIAL: readonly AuditEvent[] = ['key set announced', 'key set deleted', 'query taken']

export type AuditFacts = Readonly<Record<string, string | number | undefined>>

/**
 * Records who did what. Its lines have no secrets: tokens appear by their id, key sets by their hash.
 *
 * @param request absent for what the service does by itself, or an operator does
 * @throws TOO_BUSY (503) when an event that must be recorded cannot be; so it is called before its effect
 */
export type Audit = (
  event: AuditEvent,
  request: (Pick<FastifyRequest, 'id' | 'ip' | 'caller'> & Partial<Pick<FastifyRequest, 'raw'>>) | undefined,
  facts?: AuditFacts,
) => void

/**
 * An audit log as JSON lines: `audit` is the event.
 *
 * @param log where lines go
 * @param health of these lines alone; it notes whether they can be written
 */
export function auditTo(log: Pick<Logger, 'info'>, health = new AuditHealth()): Audit {
  const write = (event: AuditEvent, facts: AuditFacts): void => log.info({ audit: event, ...facts }, event)
  health.probeBy((events) => write('events not recorded', { events }))
  return (event, request, facts = {}) => {
    try {
      health.guard(() => write(event, { ...sender(request), ...facts }))
    } catch (err) {
      if (ESSENTIAL.includes(event)) throw unrecorded(err)
    }
  }
}

function sender(request: Parameters<Audit>[1]): AuditFacts {
  if (request === undefined) return {}
  const { id, ip, caller } = request
  return { tenant: caller.tenant, token: caller.token, requestId: id, remoteAddress: shownAddress(ip) }
}

const RETRY_SECONDS = 30

const unrecorded = (cause: unknown): HttpError =>
  new HttpError(
    503,
    'TOO_BUSY',
    'The service cannot write its audit log, without which it does not do this',
    { retryAfter: RETRY_SECONDS },
    { cause, remedy: 'Try again later; the operator of the service finds the reason in its log.' },
  )
