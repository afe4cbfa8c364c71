import type { KeySetRecord, NamedKeySet } from './key-set-record.ts'

/** Number and bytes of key sets; incomplete ones count in full. */
export interface Amount {
  readonly sets: number
  readonly bytes: number
}

/** What the rules of room need to know when a key set is announced. All of it is of one moment. */
export interface RoomView {
  /** Another one after each change that may leave less room. */
  readonly version: number
  readonly all: Amount
  readonly ofNetwork: Amount
  /** Incomplete sets that have not expired. */
  readonly uploadsOfOwner: number
  readonly uploadsOfNetwork: number
  /** The owner's complete sets that have not expired, the least recently used first. */
  readonly completeOfOwner: readonly NamedKeySet[]
}

export interface Totals extends Amount {
  /** Key sets that have not expired. */
  readonly live: number
  /** Those of them whose upload is under way. */
  readonly uploads: number
}

/** Why a key set was removed, for the log and for metrics. */
export type RemovalReason =
  | 'deleted by its client'
  | 'deleted by an operator'
  | 'expired'
  | 'upload given up'
  | 'found bad'
  | 'made room for its owner'
  | 'damaged on disk'

/** A key set that has no record any more, and whose bytes are about to be removed. */
export interface RetiredKeySet {
  readonly name: string
  readonly record: KeySetRecord
  readonly reason: RemovalReason
}

/** The right to change one key set, which one caller has at a time in all processes. */
export interface Turn {
  /** The record when the turn began; undefined when there was none. */
  readonly record: KeySetRecord | undefined
  /**
   * Replaces the record, durably. It fails, and changes nothing, when the set was removed meanwhile or the
   * turn was lost, so that a process that was paused cannot undo what another one has done since.
   *
   * @throws KEYS_EXPIRED; TOO_BUSY
   */
  save(record: KeySetRecord): Promise<void>
}

/**
 * Records of key sets by name, of one process or of several that share them. `KeyStore` has the rules. The
 * index has only what they need to be obeyed by all processes: a view of one moment, changes that are made as
 * a whole, and turns. Times are milliseconds since 1970.
 *
 * A set is removed in two steps, so that nothing is left behind when a process ends in between: `retire`
 * takes its record away, then its bytes are removed, and `forget` ends it. All methods throw TOO_BUSY when
 * the place of the records is away or refuses a change.
 */
export interface KeySetIndex {
  get(name: string): Promise<KeySetRecord | undefined>
  view(owner: string, network: string, now: number): Promise<RoomView>
  /**
   * Adds the record of a new set and retires others, as one change.
   *
   * @param going names of sets that make room for it
   * @param version of the view in which there was room
   * @returns the sets that it has retired; undefined when it changed nothing, because the version is another
   *   one now
   */
  announce(
    name: string,
    record: KeySetRecord,
    going: readonly string[],
    version: number,
  ): Promise<readonly RetiredKeySet[] | undefined>
  /** Notes that a set is used. @returns its record; undefined when there is none */
  use(name: string, now: number): Promise<KeySetRecord | undefined>
  /** Runs an action while no other one has the turn of the same set. */
  alone<T>(name: string, action: (turn: Turn) => Promise<T>): Promise<T>
  /** Takes records away: the sets are not found and do not count any more. @returns those that were there */
  retire(names: readonly string[], reason: RemovalReason): Promise<readonly RetiredKeySet[]>
  /** Puts a retired set back, whose bytes could not be removed. */
  restore(retired: RetiredKeySet): Promise<void>
  /** Ends the removal of a retired set whose bytes are gone, and tells it to all who watch. */
  forget(name: string): Promise<void>
  /** Retired sets whose removal a process has begun and not ended, since it ended itself. */
  unfinished(now: number): Promise<readonly RetiredKeySet[]>
  /** Names of sets that have expired, or of the first of them. */
  expired(now: number): Promise<readonly string[]>
  /** All records. It reads everything, and is for operators. */
  list(): Promise<readonly NamedKeySet[]>
  totals(now: number): Promise<Totals>
  /** Writes what need not be durable at once. */
  flush(): Promise<void>
  /** @param onForgotten called with the name of each set that any process removes from now on */
  watch(onForgotten: (name: string) => void): void
  /** Stops to watch. The place of the records stays open. */
  close(): Promise<void>
}
