import { createHash, randomUUID } from 'node:crypto'
import { conflict } from '../problems/http-error.ts'
import type { InferenceClient, InferenceUnderWay } from './host.ts'
import {
  CLOSING,
  Inference,
  type InferenceLimits,
  type InferenceOptions,
  type InferenceState,
} from './inference.ts'
import { ReplyCache } from './reply-cache.ts'

// Ended inferences are kept for this long, so that clients that watch them learn how they ended.
const MEMORY_MILLISECONDS = 60_000
const MEMORY_ENTRIES = 1000
/** Memory for outputs of refresh rounds that are over. */
const ANSWER_BYTES = 64 * 2 ** 20

export type NewInference = Pick<InferenceOptions, 'model' | 'rounds' | 'isAsync' | 'encode' | 'onSending'> & {
  readonly client: InferenceClient
  /** The id that the client chose; by default a random one. */
  readonly id?: string
}

/** Running inferences, and those that ended within the last minute. */
export class InferenceRegistry {
  readonly #inferences = new Map<string, Inference>()
  readonly #clients = new WeakMap<Inference, InferenceClient>()
  readonly #cache = new ReplyCache(ANSWER_BYTES)
  readonly #limits: InferenceLimits

  constructor(limits: InferenceLimits) {
    this.#limits = limits
  }

  /** @throws CONFIG_INVALID (409) when an inference of that id is under way */
  begin({ id = randomUUID(), client, ...options }: NewInference): Inference {
    const key = keyOf(client, id)
    const before = this.#inferences.get(key)
    if (before?.running) {
      throw conflict('CONFIG_INVALID', 'An inference of that id is under way; choose another', { id })
    }
    if (before) this.#forget(before)
    const inference = new Inference({
      ...options,
      id,
      key,
      cache: this.#cache.of(holderOf(client)),
      limits: this.#limits,
    })
    // The map is in the order in which the inferences began.
    this.#inferences.set(key, inference)
    this.#clients.set(inference, client)
    return inference
  }

  /** Inferences that have not ended. */
  get running(): number {
    return this.#running.length
  }

  /** Inferences whose answer has not been fetched. */
  get unfetched(): number {
    return [...this.#inferences.values()].filter(({ isUnfetched }) => isUnfetched).length
  }

  get #running(): Inference[] {
    return [...this.#inferences.values()].filter(({ running }) => running)
  }

  /** Inferences of all clients that have not ended, the oldest first. */
  get underWay(): InferenceUnderWay[] {
    return this.#running.map((inference) => ({
      handle: handleOf(inference),
      snapshot: inference.snapshot,
      client: this.#clients.get(inference)!,
    }))
  }

  /** Ends an inference for a reason of the server's own. @returns whether one of that handle is under way */
  stop(handle: string, reason: string): boolean {
    const inference = this.#running.find((each) => handleOf(each) === handle)
    inference?.stop(reason)
    return inference !== undefined
  }

  find(client: InferenceClient, id: string): Inference | undefined {
    return this.#inferences.get(keyOf(client, id))
  }

  end(inference: Inference, state: InferenceState): void {
    inference.settle(state)
    const { isAsync } = inference
    setTimeout(() => this.#forget(inference), isAsync ? this.#limits.answer : MEMORY_MILLISECONDS).unref()
    this.#forgetSurplus()
  }

  /** Cancels the inferences that still need a reply of their client, now or in a later round. */
  cancelUnanswered(): void {
    for (const inference of this.#inferences.values()) {
      const { round, rounds } = inference.snapshot
      if (round < rounds) inference.stop(CLOSING)
    }
  }

  cancelAll(): void {
    for (const inference of this.#inferences.values()) inference.stop(CLOSING)
  }

  /**
   * Forgets ended inferences beyond the limit: the oldest of the holder that has most of them. So one client
   * cannot have the answers of others forgotten by many queries that fail at once.
   */
  #forgetSurplus(): void {
    while (this.#inferences.size > MEMORY_ENTRIES) {
      const ended = [...this.#inferences.values()].filter(({ running }) => !running)
      const [most] = [...Map.groupBy(ended, this.#holder).values()].sort((a, b) => b.length - a.length)
      if (most === undefined) return
      this.#forget(most[0])
    }
  }

  readonly #holder = (inference: Inference): string => holderOf(this.#clients.get(inference)!)

  #forget(inference: Inference): void {
    inference.rounds.clear()
    if (this.#inferences.get(inference.key) === inference) this.#inferences.delete(inference.key)
  }
}

/** For whom answers are kept: a tenant, or a key set of an open service. */
const holderOf = ({ tenant, keySet }: InferenceClient): string => tenant ?? keySet

const HANDLE_DIGITS = 16

/** Names an inference among those of all clients, in several processes too. */
export const inferenceName = (client: InferenceClient, id: string): string => hashed(keyOf(client, id))

const hashed = (key: string): string => createHash('sha256').update(key).digest('hex')

/** The handle of an inference. @param name as `inferenceName` */
export const handleOfName = (name: string): string => name.slice(0, HANDLE_DIGITS)

const handleOf = ({ key }: Inference): string => handleOfName(hashed(key))

// Hashes have no colons, and neither have names of tenants.
const keyOf = ({ tenant = '', keySet }: InferenceClient, id: string): string => [tenant, keySet, id].join(':')
