import { type ErrorData, PolyVeilError } from '../../errors/index.ts'

/** What a call rejects with, as data that crosses from a Worker to its page. */
export type CrossedError =
  | { readonly kind: 'polyveil'; readonly data: ErrorData }
  /** The reason of the connection's signal, which the page has. */
  | { readonly kind: 'connectionAborted' }
  /** Any other error; messages between threads carry it as it is. */
  | { readonly kind: 'other'; readonly error: unknown }

/**
 * @param aborted the reason with which the Worker's side aborts the connection
 */
export function crossing(error: unknown, aborted?: unknown): CrossedError {
  if (error instanceof PolyVeilError) return { kind: 'polyveil', data: error.toJSON() }
  if (aborted !== undefined && error === aborted) return { kind: 'connectionAborted' }
  return { kind: 'other', error }
}

/** @param reason of the connection's signal on the page */
export function crossed(error: CrossedError, reason?: unknown): unknown {
  if (error.kind === 'polyveil') return PolyVeilError.fromJSON(error.data)
  return error.kind === 'connectionAborted' ? reason : error.error
}
