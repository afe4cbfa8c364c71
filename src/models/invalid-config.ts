import { PolyVeilError } from '../errors/index.ts'

/** JSON names of config fields whose name in programs differs. */
export type JsonNames = Readonly<Record<string, string>>

/**
 * CONFIG_INVALID about one field, given by its path in either form. Messages name a field as the JSON form
 * spells it, since that is what users write.
 */
export function invalidConfig(path: string, reason: string, names: JsonNames = {}): PolyVeilError {
  const [first, ...rest] = path.split('.')
  const field = [Object.hasOwn(names, first) ? names[first] : first, ...rest].join('.')
  return new PolyVeilError('CONFIG_INVALID', `The config's ${field || 'content'} is invalid: ${reason}`, {
    field,
  })
}
