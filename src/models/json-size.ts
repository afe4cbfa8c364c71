import { PolyVeilError } from '../errors/index.ts'

/** Far more than a hundred thousand labels take. */
const MAX_CHARACTERS = 4 * 2 ** 20
const MAX_VALUES = 2 ** 18

/**
 * Parses the text of a config.
 *
 * @throws CONFIG_INVALID when it is no JSON, or TOO_LARGE when it is larger than any config
 */
export function parseJsonText(text: string): unknown {
  if (text.length > MAX_CHARACTERS) throw tooLarge(`${text.length} characters, more than ${MAX_CHARACTERS}`)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new PolyVeilError('CONFIG_INVALID', 'The config is no JSON', {}, { cause })
  }
}

/**
 * Bounds the values that a schema sees, because it would note a fault for each of millions.
 *
 * @throws TOO_LARGE
 */
export function refuseLargeJson(json: unknown): void {
  const pending = [json]
  let values = 1
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value !== 'object' || value === null) continue
    const items = Object.values(value)
    values += items.length
    if (values > MAX_VALUES) throw tooLarge(`more than ${MAX_VALUES} values`)
    for (const item of items) pending.push(item)
  }
}

const tooLarge = (what: string): PolyVeilError =>
  new PolyVeilError('TOO_LARGE', `The config has ${what}; no network needs as many`)
