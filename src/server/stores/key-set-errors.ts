import { PolyVeilError } from '../../errors/index.ts'
import { conflict, HttpError } from '../problems/http-error.ts'

/** The error for a key set that does not exist. */
export const noSuchKeySet = (cause?: unknown): PolyVeilError =>
  new PolyVeilError('KEYS_EXPIRED', 'There is no such key set; it has expired or was deleted', {}, { cause })

/** 404: the key set belongs to another tenant. The words are those for one that does not exist. */
export const foreignKeySet = (): HttpError => {
  const { code, message } = noSuchKeySet()
  return new HttpError(404, code, message)
}

/**
 * The error for a key set whose bytes are not those that were written. It says that the set has to be
 * removed.
 */
export const damagedKeySet = (cause?: unknown): PolyVeilError =>
  new PolyVeilError('KEYS_EXPIRED', 'The stored key set is damaged', { isDamaged: true }, { cause })

/** 409: a part begins elsewhere than at the offset that the set has. */
export const wrongOffset = (offset: number, uploadOffset: number): HttpError =>
  conflict('TENSOR_MALFORMED', `The part begins at ${offset}; go on at ${uploadOffset}`, { uploadOffset })

/** Lets pass that something cannot be done now, and is done later. */
export function unlessBusy(error: unknown): void {
  if (!(error instanceof PolyVeilError && error.code === 'TOO_BUSY')) throw error
}
