import { PolyVeilError } from '../../errors/index.ts'
import { unreadable } from './errors.ts'
import { isDictionary } from './pickle/build.ts'
import { type Dictionary, TensorReference, Tuple, type Value } from './pickle/values.ts'
import { shownName } from './shown-name.ts'

/**
 * Names under which training scripts save averaged weights, in the order in which the reference's validation
 * looks for them.
 */
const AVERAGED = ['state_dict_ema', 'model_ema', 'ema', 'ema_state_dict']
/** Other names of averages: `params_ema`, `ema_weights`. */
const LIKE_AVERAGED = /(^|_)ema(_|$)/i
/** Names under which they save the weights themselves. */
const RAW = ['state_dict', 'model', 'model_state_dict', 'net']

/** Dictionaries inside dictionaries: `checkpoint.model.state_dict`. */
const MAX_DEPTH = 3
/** Entries that a message lists. */
const MOST_LISTED = 20

/** A dictionary of tensors in a checkpoint. */
export interface Entry {
  /** Keys from the root on, joined by dots; empty for the root itself. */
  readonly name: string
  readonly keys: readonly string[]
  readonly tensors: ReadonlyMap<string, TensorReference>
  /** Whether there is nothing in it but tensors. */
  readonly isPure: boolean
}

/** The entry that is read, and the other entries of the file. */
export interface Selection {
  readonly entry: Entry
  readonly entries: readonly Entry[]
  /** Notes for the user about the choice. */
  readonly notes: readonly string[]
}

/**
 * Finds a checkpoint's weights: those called `wanted`, else averaged weights before raw ones as the
 * reference's validation prefers them, else the one dictionary of tensors that there is.
 *
 * @throws CHECKPOINT_UNREADABLE listing the entries when there are no tensors, or several dictionaries of
 *   unknown names
 * @throws CONFIG_INVALID listing the entries when none is called `wanted`
 */
export function selectEntry(root: Value, wanted?: string): Selection {
  if (!isDictionary(root)) throw noDictionary(root)
  const entries = [...dictionariesOfTensors(root)]
  const entry = wanted === undefined ? preferred(entries, root) : named(entries, wanted)
  return { entry, entries, notes: wanted === undefined ? unusedAverages(root, entry) : [] }
}

/** @throws CONFIG_INVALID; for a file that holds one state dict and no entries, as safetensors do */
export function refuseWeights(wanted: string): never {
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `--weights ${shownName(wanted)} names an entry of the checkpoint, but it is one state dict without entries`,
  )
}

/** Tensors of the dictionaries that have been met. */
type Met = Map<Dictionary, ReadonlyMap<string, TensorReference>>

/**
 * The dictionaries that keys of text lead to. A dictionary that occurs twice, such as an average that has not
 * begun, is listed under each of its names; those inside it are listed where it was met first.
 */
function* dictionariesOfTensors(
  root: Dictionary,
  keys: readonly string[] = [],
  met: Met = new Map(),
): Generator<Entry> {
  const before = met.get(root)
  const tensors = before ?? tensorsOf(root)
  met.set(root, tensors)
  if (tensors.size > 0) {
    yield { name: keys.join('.'), keys, tensors, isPure: tensors.size === root.size }
  }
  if (before !== undefined || keys.length === MAX_DEPTH) return
  for (const [key, value] of root) {
    if (typeof key === 'string' && isDictionary(value)) {
      yield* dictionariesOfTensors(value, [...keys, key], met)
    }
  }
}

function tensorsOf(dictionary: Dictionary): Map<string, TensorReference> {
  const tensors = new Map<string, TensorReference>()
  for (const [key, value] of dictionary) {
    if (typeof key === 'string' && value instanceof TensorReference) tensors.set(key, value)
  }
  return tensors
}

/** The error for a file whose root is no dictionary; it names the items that have tensors. */
function noDictionary(root: Value): PolyVeilError {
  const items = itemsOf(root)
  const place = items.findIndex((item) => isDictionary(item) && hasTensors(item))
  if (place < 0) return unreadable('it holds no state dict')
  const kinds = items.map((item, index) => `${index} (${kindOf(item)})`)
  return new PolyVeilError(
    'CHECKPOINT_UNREADABLE',
    `The checkpoint is ${kindOf(root)} and no state dict; its items are ${cut(kinds)}, and item ${place} has tensors`,
    { item: place },
    { remedy: `Save the state dict alone: torch.save(torch.load(path)[${place}], new_path).` },
  )
}

const hasTensors = (dictionary: Dictionary): boolean => dictionariesOfTensors(dictionary).next().done !== true

const itemsOf = (value: Value): readonly Value[] =>
  value instanceof Tuple ? value.items : Array.isArray(value) ? value : []

function named(entries: readonly Entry[], wanted: string): Entry {
  const entry = entries.find(({ name }) => name === wanted)
  if (entry) return entry
  const [first] = entries
  if (entries.length === 1 && first.name === '') refuseWeights(wanted)
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `The checkpoint has no entry --weights ${shownName(wanted)}; it has ${listed(entries)}`,
    { weights: namesOf(entries) },
  )
}

function preferred(entries: readonly Entry[], root: Dictionary): Entry {
  const best = entries.reduce((least, entry) => Math.min(least, rank(entry)), Infinity)
  const ranked = entries.filter((entry) => rank(entry) === best && best < UNKNOWN)
  if (ranked.length > 0) return onlyOne(ranked, entries)
  const pure = entries.filter(({ isPure }) => isPure)
  if (pure.length > 0) return onlyOne(pure, entries)
  if (entries.length > 0) return onlyOne(entries, entries)
  throw new PolyVeilError(
    'CHECKPOINT_UNREADABLE',
    `The checkpoint holds no tensors by name; its entries are ${contents(root)}`,
    {},
    { remedy: 'Save the weights themselves: torch.save(model.state_dict(), path).' },
  )
}

function onlyOne(candidates: readonly Entry[], entries: readonly Entry[]): Entry {
  const [first] = candidates
  // Several names of one dictionary are no choice.
  if (candidates.every(({ tensors }) => tensors === first.tensors)) return first
  throw new PolyVeilError(
    'CHECKPOINT_UNREADABLE',
    `The checkpoint has several dictionaries of tensors: ${listed(entries)}`,
    { weights: namesOf(entries) },
    { remedy: "Choose one by --weights NAME, in programs by readCheckpoint's option weights." },
  )
}

const UNKNOWN = AVERAGED.length + 1 + RAW.length

/** Position in the order of preference; a name on the way counts for what lies below it. */
const rank = ({ keys }: Entry): number => Math.min(UNKNOWN, ...keys.map(rankOfName))

function rankOfName(name: string): number {
  if (AVERAGED.includes(name)) return AVERAGED.indexOf(name)
  if (LIKE_AVERAGED.test(name)) return AVERAGED.length
  return RAW.includes(name) ? AVERAGED.length + 1 + RAW.indexOf(name) : UNKNOWN
}

/** Averages in another form, such as a list, are not read, and the user is told. */
function unusedAverages(root: Dictionary, { keys }: Entry): string[] {
  if (keys.some((key) => rankOfName(key) <= AVERAGED.length)) return []
  return [...root].flatMap(([key, value]) => {
    const isAverage = typeof key === 'string' && rankOfName(key) <= AVERAGED.length && isFilled(value)
    return isAverage
      ? [`its entry ${shownName(key)} is no dictionary of tensors by name and is not read`]
      : []
  })
}

const isFilled = (value: Value): boolean =>
  (isDictionary(value) && value.size > 0) || itemsOf(value).length > 0

const namesOf = (entries: readonly Entry[]): string[] =>
  entries.slice(0, MOST_LISTED).map(({ name }) => shownName(name))

const listed = (entries: readonly Entry[]): string =>
  cut(
    entries.map(
      ({ name, tensors }) => `${name === '' ? 'the root' : shownName(name)} (${tensors.size} tensors)`,
    ),
  )

const contents = (root: Dictionary): string =>
  root.size === 0
    ? 'none'
    : cut([...root].map(([key, value]) => `${shownName(String(key))} (${kindOf(value)})`))

function cut(items: readonly string[]): string {
  const more = items.length - MOST_LISTED
  return items.slice(0, MOST_LISTED).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

function kindOf(value: Value): string {
  if (isDictionary(value)) return `a dictionary of ${value.size}`
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (value instanceof Tuple) return `a tuple of ${value.items.length}`
  if (value instanceof TensorReference) return 'a tensor'
  if (typeof value === 'number' || typeof value === 'bigint') return 'a number'
  return typeof value === 'string' ? 'a text' : 'no tensors'
}
