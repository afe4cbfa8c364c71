import { PolyVeilError } from '../errors/index.ts'

/** CONFIG_INVALID about one field, by the name that the user wrote. */
export const invalidConfig = (field: string, reason: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', `The config's ${field || 'content'} is invalid: ${reason}`, { field })
