import { PolyVeilError } from '../../errors/index.ts'
import { PROTOCOL_HEADERS } from '../../wire/protocol/index.ts'

/** Header names and values. */
export type HeaderValues = Readonly<Record<string, string>>

/** Headers that the client, or the platform's fetch, sets itself. */
const RESERVED: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'content-length',
  'content-type',
  'transfer-encoding',
  'expect',
  ...PROTOCOL_HEADERS,
])

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * Checks headers and puts their names in lower case.
 *
 * @throws CONFIG_INVALID when a name or a value cannot be sent, or the client sets the header itself.
 *   Messages do not repeat values, since they may be secrets
 */
export function checkHeaders(headers: HeaderValues | Headers): HeaderValues {
  const checked: Record<string, string> = {}
  for (const [name, value] of entriesOf(headers)) {
    const lower = name.toLowerCase()
    if (!NAME.test(name) || typeof value !== 'string' || !VALUE.test(value)) {
      throw new PolyVeilError(
        'CONFIG_INVALID',
        'A header of the requests has a name or a value that cannot be sent',
      )
    }
    if (RESERVED.has(lower) || lower in checked) {
      const why = lower in checked ? 'is given twice' : 'is set by the client itself'
      throw new PolyVeilError('CONFIG_INVALID', `The header ${lower} ${why}`, { header: lower })
    }
    checked[lower] = value
  }
  return checked
}

function entriesOf(headers: HeaderValues | Headers): Iterable<[name: string, value: string]> {
  if (headers instanceof Headers) return headers.entries()
  if (isRecord(headers)) return Object.entries(headers)
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'Headers are an object of names and values, or a Headers object',
    {},
    { remedy: "Give headers: { authorization: 'Bearer ...' }, and not a list, a Map or a text." },
  )
}

/** Whether it is an object literal. The fields of a list or of a Map are not names of headers. */
function isRecord(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Base64 of the UTF-8 bytes of a text. */
export const base64OfText = (text: string): string =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)))
