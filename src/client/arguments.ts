import { isModelName, MODEL_NAME_RULE } from '../circuit/manifest/model-name.ts'
import { PolyVeilError } from '../errors/index.ts'
import type { KeyStore } from './keys/key-store.ts'
import { PIN_POLICIES } from './pins/pins.ts'

// Checks of arguments from callers without types. Each has its own message; otherwise the mistake would end
// in a TypeError deep inside.

/**
 * @param call that takes the store, for the message
 * @throws CONFIG_INVALID unless it has the methods of a key store
 */
export function keyStoreArgument(keys: KeyStore | undefined, call = 'connect(url, { keys })'): KeyStore {
  const store = keys as Partial<Record<string, unknown>> | undefined | null
  const isStore =
    typeof store === 'object' &&
    store !== null &&
    ['get', 'put', 'add', 'delete', 'names'].every((name) => typeof store[name] === 'function')
  if (isStore) return keys as KeyStore
  throw invalid(
    typeof keys === 'string' ? 'A path is no key store' : `A client needs a key store: ${call}`,
    "Give directoryKeyStore('./keys') in Node, indexedDbKeyStore() in browsers, or memoryKeyStore().",
  )
}

/** @throws CONFIG_INVALID unless it can be the name of a served model */
export function modelArgument(model: string): string {
  if (typeof model === 'string' && isModelName(model)) return model
  throw invalid(`The name of a model is ${MODEL_NAME_RULE}`, 'Name one of those that `models()` lists.')
}

/** @throws CONFIG_INVALID unless it is a text that is not empty */
export function textArgument(what: string, text: string): string {
  if (typeof text === 'string' && text !== '') return text
  throw invalid(`${what} is a text that is not empty`, 'Give it as a string.')
}

/** @throws CONFIG_INVALID unless it is a list */
export function listArgument<T>(what: string, list: readonly T[], remedy: string): readonly T[] {
  if (Array.isArray(list)) return list
  throw invalid(`${what} are a list (Array)`, remedy)
}

/** What the value of an option has to be. */
interface OptionRule {
  readonly fits: (value: unknown) => boolean
  /** Ends the sentence "NAME is ...". */
  readonly form: string
  readonly remedy: string
}

const FUNCTION = { fits: (value: unknown) => typeof value === 'function', form: 'a function' }
// A text such as 'false' would count as true.
const BOOLEAN: OptionRule = {
  fits: (value) => typeof value === 'boolean',
  form: 'true or false',
  remedy: 'Give a boolean, no text: value === "true" where it comes from an environment or a form.',
}

/** The options of all calls by their names; undefined stands for an absent option. */
const OPTION_RULES: Readonly<Record<string, OptionRule>> = {
  signal: {
    fits: (value) => value instanceof AbortSignal,
    form: 'an AbortSignal',
    remedy: 'Give the signal of the controller: controller.signal.',
  },
  onProgress: { ...FUNCTION, remedy: 'Leave it out where nothing is reported.' },
  onManifestChange: { ...FUNCTION, remedy: 'Leave it out for a line on the console.' },
  onPersisted: { ...FUNCTION, remedy: 'Leave it out where nothing is reported.' },
  fetch: { ...FUNCTION, remedy: "Leave it out for the platform's own." },
  fullPrecision: BOOLEAN,
  invert: BOOLEAN,
  releaseKeys: BOOLEAN,
  watch: BOOLEAN,
  leftOver: BOOLEAN,
  topK: {
    fits: (value) => Number.isInteger(value) && Number(value) > 0,
    form: 'a whole number from 1 on',
    remedy: 'Leave it out for all classes.',
  },
  pins: {
    fits: (value) => PIN_POLICIES.some((policy) => policy === value),
    form: `one of ${PIN_POLICIES.join(', ')}`,
    remedy: 'Leave it out for warn.',
  },
  store: {
    fits: (value) => value === 'indexeddb' || value === 'memory',
    form: 'indexeddb or memory',
    remedy: 'Leave it out for indexeddb.',
  },
  worker: {
    fits: (value) => typeof Worker !== 'undefined' && value instanceof Worker,
    form: 'a Web Worker',
    remedy: 'Leave it out, and the SDK starts one.',
  },
  silenceSeconds: {
    fits: isSeconds,
    form: 'a number of seconds above 0, a day at most',
    remedy: 'Leave it out for the default.',
  },
  parametersDigests: {
    fits: (value) => Array.isArray(value) && value.every(isDigest),
    form: 'a list of digests, each of 64 lowercase hex digits',
    remedy: 'Give the parametersDigest of keys that `listKeys` or `keySets.list` shows.',
  },
}

/**
 * The options of a call; none when they are undefined.
 *
 * @param names of the options that the call has
 * @throws CONFIG_INVALID when they are no object, there is no option of a name, or a value does not fit
 */
export function optionsArgument<T extends object>(
  options: T | undefined,
  names: readonly (keyof T & string)[],
): T {
  const given = fieldsOf('The options of a call', options)
  for (const [name, value] of Object.entries(given)) {
    if (!names.some((known) => known === name)) {
      throw invalid(`There is no option ${name}`, `The options are ${names.join(', ')}.`)
    }
    if (value !== undefined) optionArgument(name, value)
  }
  return given as T
}

/** @throws CONFIG_INVALID unless the value fits the rule of this option; undefined fits none */
export function optionArgument(name: string, value: unknown): void {
  const rule = OPTION_RULES[name]
  if (rule === undefined || rule.fits(value)) return
  throw invalid(`${name} is ${rule.form}`, rule.remedy)
}

/**
 * Refuses options that are there but undefined, for calls where an absent option means more than any value:
 * the variable behind it may be missing.
 *
 * @throws CONFIG_INVALID naming the option
 */
export function refuseUndefined<T extends object>(options: T, names: readonly (keyof T & string)[]): void {
  const name = names.find((each) => each in options && options[each] === undefined)
  if (name !== undefined) throw undefinedArgument(name)
}

/** The error for an argument that is there but undefined. */
export const undefinedArgument = (name: string): PolyVeilError =>
  invalid(`${name} is undefined`, 'Leave the argument out to choose all keys.')

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
  if (seconds === undefined || isSeconds(seconds)) return seconds
  throw invalid(`${name} is a number of seconds above 0, a day at most`, 'Leave it out for the default.')
}

/**
 * @param names of the limits that exist
 * @throws CONFIG_INVALID unless they are an object of limits that exist, each a number above 0 or undefined
 */
export function limitsArgument<T extends object>(limits: T | undefined, names: readonly string[]): T {
  const given = fieldsOf('The limits', limits)
  for (const [name, value] of Object.entries(given)) {
    if (!names.includes(name))
      throw invalid(`There is no limit ${name}`, `The limits are ${names.join(', ')}.`)
    if (value === undefined || (typeof value === 'number' && value > 0)) continue
    throw invalid(`limits.${name} is a number above 0`, 'Leave it out for the default.')
  }
  return given as T
}

function fieldsOf(what: string, value: object | undefined): object {
  if (value === undefined) return {}
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw invalid(`${what} are an object of named fields`, 'Leave it out for the defaults.')
}

function isSeconds(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 && value <= 86_400
}

const isDigest = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

const invalid = (message: string, remedy: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', message, {}, { remedy })
