import { PolyVeilError } from '../errors/index.ts'
import type { KeyStore } from './keys/key-store.ts'

// Checks of arguments from callers without types. Each has its own message; otherwise the mistake would end
// in a TypeError deep inside.

/** @throws CONFIG_INVALID unless it has the methods of a key store */
export function keyStoreArgument(keys: KeyStore | undefined): KeyStore {
  const store = keys as Partial<Record<string, unknown>> | undefined | null
  const isStore =
    typeof store === 'object' &&
    store !== null &&
    ['get', 'put', 'add', 'delete', 'names'].every((name) => typeof store[name] === 'function')
  if (isStore) return keys as KeyStore
  throw invalid(
    typeof keys === 'string'
      ? 'A path is no key store'
      : 'A client needs a key store: connect(url, { keys })',
    "Give directoryKeyStore('./keys') in Node, indexedDbKeyStore() in browsers, or memoryKeyStore().",
  )
}

/** @throws CONFIG_INVALID unless it is a string that is not empty */
export function modelArgument(model: string): string {
  if (typeof model === 'string' && model !== '') return model
  throw invalid('The name of a model is a text that is not empty', 'Name one of those that `models()` lists.')
}

/** @throws CONFIG_INVALID unless it is a whole number above 0, or absent */
export function topKArgument(topK: number | undefined): number | undefined {
  if (topK === undefined || (Number.isInteger(topK) && topK > 0)) return topK
  throw invalid('topK is a whole number from 1 on', 'Leave it out for all classes.')
}

/**
 * The bytes of a frame; an `ArrayBuffer` is accepted.
 *
 * @param what role of the frame in the message, such as "The encrypted image"
 * @throws CONFIG_INVALID unless they are bytes
 */
export function frameArgument(frame: Uint8Array | ArrayBuffer, what: string): Uint8Array {
  if (frame instanceof Uint8Array) return frame
  if (frame instanceof ArrayBuffer) return new Uint8Array(frame)
  throw invalid(
    `${what} is bytes: a Uint8Array or an ArrayBuffer`,
    'Give what the step before returned, awaited.',
  )
}

/** @throws CONFIG_INVALID unless it is a number of seconds, or absent */
export function secondsArgument(name: string, seconds: number | undefined): number | undefined {
  if (seconds === undefined || (Number.isFinite(seconds) && seconds > 0 && seconds <= 86_400)) return seconds
  throw invalid(`${name} is a number of seconds above 0, a day at most`, 'Leave it out for the default.')
}

/** @throws CONFIG_INVALID unless the limit is one of those that exist, and a number above 0 or absent */
export function limitArgument(name: string, value: unknown, names: readonly string[]): void {
  if (!names.includes(name)) throw invalid(`There is no limit ${name}`, `The limits are ${names.join(', ')}.`)
  if (value === undefined || (typeof value === 'number' && value > 0)) return
  throw invalid(`limits.${name} is a number above 0`, 'Leave it out for the default.')
}

const invalid = (message: string, remedy: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', message, {}, { remedy })
