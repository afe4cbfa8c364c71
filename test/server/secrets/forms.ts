import { inspect } from 'node:util'

/** A secret, and bytes of it that nothing else has by chance. */
export interface Secret {
  readonly name: string
  readonly bytes: Uint8Array
  /** Where the bytes begin in the array that they are a part of. */
  readonly offset?: number
}

/** The texts in which a log could show bytes: by the name of the form. */
export function formsOf({ bytes, offset = 0 }: Secret): Readonly<Record<string, string>> {
  const buffer = Buffer.from(bytes)
  const numbers = [...bytes]
  const utf8 = buffer.toString('utf8')
  return {
    utf8,
    latin1: buffer.toString('latin1'),
    'JSON text': JSON.stringify(utf8).slice(1, -1),
    percent: encodeURIComponent(utf8),
    hex: buffer.toString('hex'),
    'upper hex': buffer.toString('hex').toUpperCase(),
    'spaced hex': buffer.toString('hex').replaceAll(/..(?!$)/g, '$& '),
    ...base64Of(buffer),
    list: numbers.join(),
    'spaced list': numbers.join(', '),
    'indexed list': numbers.map((byte, i) => `"${offset + i}":${byte}`).join(),
    inspected: inspect(numbers, { breakLength: Infinity, maxArrayLength: null }).slice(2, -2),
  }
}

/** The characters of base64 that depend on no other bytes, for each place where the bytes may begin. */
function base64Of(buffer: Buffer): Record<string, string> {
  const forms = [0, 1, 2].flatMap((before) => {
    const padded = Buffer.concat([Buffer.alloc(before), buffer])
    const end = Math.floor(padded.length / 3) * 4
    return (['base64', 'base64url'] as const).map((form) => [
      `${form} at ${before}`,
      padded.toString(form).slice(before === 0 ? 0 : 4, end),
    ])
  })
  return Object.fromEntries(forms)
}

/** Names of secrets that a text shows, and how. */
export const shownIn = (text: string, secrets: readonly Secret[]): string[] =>
  secrets.flatMap((secret) =>
    Object.entries(formsOf(secret))
      .filter(([, form]) => text.includes(form))
      .map(([form]) => `${secret.name} as ${form}`),
  )

const WINDOW = 16
const LEAST_DIFFERENT = 10

/** Some places in a long secret. Places with few different bytes, such as zeros, could be anywhere. */
export function windowsOf(name: string, bytes: Uint8Array): Secret[] {
  return [0.15, 0.5, 0.85].flatMap((share) => {
    const offset = Math.floor(share * (bytes.length - WINDOW))
    const window = bytes.subarray(offset, offset + WINDOW)
    const isText = window.every((byte) => byte >= 32 && byte < 127)
    if (offset < 0 || isText || new Set(window).size < LEAST_DIFFERENT) return []
    return [{ name: `${name} at ${offset}`, bytes: window, offset }]
  })
}
