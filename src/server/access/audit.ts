import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { shownAddress } from '../addresses/client-address.ts'
import { HttpError } from '../problems/http-error.ts'
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
 * @param faults the log that tells when these lines cannot be written, and when they can be again
 */
export function auditTo(log: Pick<Logger, 'info'>, faults?: Pick<Logger, 'error' | 'info'>): Audit {
  let isFailing = false
  return (event, request, facts = {}) => {
    try {
      log.info({ audit: event, ...sender(request), ...facts }, event)
      if (isFailing) faults?.info('The audit log can be written again')
      isFailing = false
    } catch (err) {
      if (!isFailing) faults?.error({ err }, UNWRITABLE)
      isFailing = true
      if (ESSENTIAL.includes(event)) throw unrecorded(err)
    }
  }
}

const UNWRITABLE = 'The audit log cannot be written, so the service takes no queries and no key sets'

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
