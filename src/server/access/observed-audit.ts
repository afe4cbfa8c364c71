import { traceFields } from '../tracing.ts'
import type { Audit } from './audit.ts'

/**
 * An audit whose lines name the span of their request, and that calls back for refused logins.
 *
 * @param onRefused gets the code of the error
 */
export const observedAudit =
  (audit: Audit, onRefused: (code: string) => void): Audit =>
  (event, request, facts) => {
    audit(event, request, { ...(request && traceFields(request)), ...facts })
    if (event === 'access refused') onRefused(String(facts?.why))
  }
