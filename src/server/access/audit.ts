import type { FastifyRequest } from 'fastify'
import { type DestinationStream, type Logger, pino } from 'pino'
import { PolyVeilError } from '../../errors/index.ts'

/** What an audit log records. */
export type AuditEvent =
  | 'access refused'
  | 'key set announced'
  | 'key set complete'
  | 'key set deleted'
  | 'key set of another tenant asked for'
  | 'query taken'
  | 'query refused: budget spent'
  | 'requests refused: too many'

export type AuditFacts = Readonly<Record<string, string | number | undefined>>

/** Records who did what. Its lines have no secrets: tokens appear by their id, key sets by their hash. */
export type Audit = (event: AuditEvent, request: FastifyRequest, facts?: AuditFacts) => void

/**
 * An audit log as JSON lines: `audit` is the event.
 *
 * @param log where lines go
 */
export const auditTo =
  (log: Pick<Logger, 'info'>): Audit =>
  (event, { id, ip, caller }, facts = {}) =>
    log.info(
      {
        audit: event,
        tenant: caller.tenant,
        token: caller.token,
        requestId: id,
        remoteAddress: ip,
        ...facts,
      },
      event,
    )

/**
 * A log of its own, in a file that is appended to.
 *
 * @throws CONFIG_INVALID when the file cannot be written
 */
export async function auditFile(path: string): Promise<Logger> {
  const stream = pino.destination({ dest: path, append: true, mkdir: true, mode: 0o600, sync: true })
  const opened = Promise.withResolvers<void>()
  stream.once('ready', opened.resolve)
  stream.once('error', opened.reject)
  try {
    await opened.promise
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The audit log ${path} cannot be written (${code})`,
      {},
      { cause },
    )
  }
  return pino({ base: null }, stream as DestinationStream)
}
