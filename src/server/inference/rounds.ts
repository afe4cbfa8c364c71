import { createHash } from 'node:crypto'
import type { RefreshClient } from '../../he-ops/execution/session.ts'
import { conflict, type HttpError } from '../problems/http-error.ts'
import type { AnswerRoom, KeptAnswer, SentAnswer } from './answers.ts'

/** What comes out of the engine for the client. */
export type EngineOutput =
  | { readonly kind: 'refresh'; readonly round: number; readonly frame: Uint8Array }
  | { readonly kind: 'logits'; readonly frame: Uint8Array }

export interface RoundsOptions {
  /** Makes the bytes that the client gets; called once for each output. */
  readonly encode: (output: EngineOutput) => SentAnswer
  /** Told when a round begins to wait for the client, and, with `undefined`, when it has its answer. */
  readonly onWaiting: (round: number | undefined) => void
  /** Where answers go that were superseded by later ones. */
  readonly room: AnswerRoom
}

type Take = Parameters<RefreshClient>[2]

/** A round that the client has answered, or whose answer is being looked at. */
interface Answered {
  /** SHA-256 of the client's body. */
  readonly digest: string
  /** What the client got for the last round; earlier ones are kept while there is room. */
  next: Promise<SentAnswer> | KeptAnswer
}

/**
 * Turns the rounds of the engine, which calls a client, into requests of a client, which the server answers: the query is
 * answered with the first masked tensor, round 0 with the second, the last round with the logits.
 */
export class Rounds {
  readonly #options: RoundsOptions
  readonly #answered = new Map<number, Answered>()
  /** What whoever is there will get. */
  #next = promised<SentAnswer>()
  /** The round whose answer the engine waits for. */
  #open: { readonly round: number; readonly take: Take; readonly close: () => void } | undefined

  constructor(options: RoundsOptions) {
    this.#options = options
  }

  /** The client, as the engine sees it. */
  readonly client: RefreshClient = (round, masked, take) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#open = { round, take, close: resolve }
    this.#options.onWaiting(round)
    this.#next.resolve(this.#options.encode({ kind: 'refresh', round, frame: masked }))
    return promise
  }

  /**
   * Follows the engine to its end.
   *
   * @returns the answer to the query
   */
  begin(logits: Promise<Uint8Array>): Promise<SentAnswer> {
    const { promise } = this.#next
    logits.then(
      (frame) => this.#next.resolve(this.#options.encode({ kind: 'logits', frame })),
      (error) => this.#next.reject(error),
    )
    return promise
  }

  /**
   * What the client got for this very body before.
   *
   * @returns undefined when the round has no answer yet
   * @throws CONFIG_INVALID (409) when another body answered it, or what it got is not kept any more
   */
  repeat(round: number, body: Uint8Array): Promise<SentAnswer> | undefined {
    const known = this.#answered.get(round)
    if (known === undefined) return undefined
    if (known.digest !== digestOf(body)) throw conflicting(`Round ${round} has another answer already`, round)
    if (known.next instanceof Promise) return known.next
    if (known.next.answer) return Promise.resolve(known.next.answer)
    throw conflicting(
      `Round ${round} is over for so long that what it was answered is not kept any more`,
      round,
    )
  }

  /**
   * Takes the client's answer to a round, and gives it what comes next.
   *
   * @throws CONFIG_INVALID (409) when the inference waits for another round, or for none
   * @throws TENSOR_MALFORMED, TOO_LARGE, PARAMETERS_MISMATCH when the body is no answer; the round then still waits
   * @throws whatever ends the inference
   */
  async answer(round: number, body: Uint8Array): Promise<SentAnswer> {
    const open = this.#open
    if (open?.round !== round) {
      const state = open ? `for round ${open.round}` : 'for no round now'
      throw conflicting(`The inference waits ${state}, not for ${round}`, open?.round)
    }
    this.#next = promised()
    const { promise } = this.#next
    // Known from here on, so that a repeated request meets the first one.
    const next = this.#take(open.take, body, promise)
    next.catch(() => {})
    this.#answered.set(round, { digest: digestOf(body), next })
    return next
  }

  /** Forgets all answers. */
  clear(): void {
    for (const { next } of this.#answered.values()) {
      if (!(next instanceof Promise)) this.#options.room.drop(next)
    }
    this.#answered.clear()
  }

  async #take(take: Take, body: Uint8Array, next: Promise<SentAnswer>): Promise<SentAnswer> {
    const { round, close } = this.#open!
    try {
      // Should the engine fail meanwhile, it takes nothing any more.
      await Promise.race([take(body), next])
    } catch (error) {
      this.#answered.delete(round)
      throw error
    }
    this.#open = undefined
    this.#options.onWaiting(undefined)
    close()
    await this.#supersede(round - 1)
    return next
  }

  /** Who answers a round has what came before it. */
  async #supersede(round: number): Promise<void> {
    const before = this.#answered.get(round)
    if (before?.next instanceof Promise) before.next = this.#options.room.keep(await before.next)
  }
}

function promised<T>(): PromiseWithResolvers<T> {
  const resolvers = Promise.withResolvers<T>()
  // Nobody may be there to hear of a failure.
  resolvers.promise.catch(() => {})
  return resolvers
}

const digestOf = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')

const conflicting = (message: string, round: number | undefined): HttpError =>
  conflict('CONFIG_INVALID', message, round === undefined ? {} : { round })
