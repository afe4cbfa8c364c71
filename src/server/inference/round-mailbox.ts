import { createHash } from 'node:crypto'
import type { RefreshClient } from '../../he-ops/engine.ts'
import { conflict, type HttpError } from '../problems/http-error.ts'
import type { KeptAnswer, ReplyCache, SentAnswer } from './reply-cache.ts'

/** What comes out of the engine for the client. */
export type EngineOutput =
  | { readonly kind: 'refresh'; readonly round: number; readonly frame: Uint8Array }
  | { readonly kind: 'logits'; readonly frame: Uint8Array }

export interface RoundMailboxOptions {
  /** Rounds of the inference. */
  readonly rounds: number
  /** Makes the bytes that the client gets; called once for each output. */
  readonly encode: (output: EngineOutput) => SentAnswer
  /** Told when a round begins to wait for the client or is over: how many wait now, and how many are over. */
  readonly onWaiting: (waiting: number, over: number) => void
  /** Where outputs go whose round is over. */
  readonly cache: ReplyCache
}

type SendReply = Parameters<RefreshClient>[2]

/** A round whose answer the engine has been given. */
interface Reply {
  /** SHA-256 of the client's body. */
  readonly digest: string
  /** Resolves when the engine has found it to be one. */
  readonly accepted: Promise<void>
}

/**
 * Turns the rounds of the engine, which calls a client, into requests of a client, which the server answers.
 * What comes out of the engine is numbered: the masked tensor of each round by the round, and the logits
 * behind the last one.
 */
export class RoundMailbox {
  readonly #options: RoundMailboxOptions
  /**
   * By number. Once a round is over its output is kept while there is room: hardly anybody asks for it again.
   */
  readonly #outputs = new Map<number, PromiseWithResolvers<SentAnswer> | KeptAnswer>()
  /** Outputs that are not there yet; also those that were forgotten. */
  readonly #missing = new Set<PromiseWithResolvers<SentAnswer>>()
  readonly #replies = new Map<number, Reply>()
  /** The rounds whose answers the engine waits for. */
  readonly #open = new Map<number, { readonly sendReply: SendReply; readonly close: () => void }>()
  /** Resolves when the engine has come to the logits, and rejects when it fails. */
  readonly #end = promised<void>()
  #failure: { readonly error: unknown } | undefined
  #over = 0

  constructor(options: RoundMailboxOptions) {
    this.#options = options
  }

  /** The client, as the engine sees it. */
  readonly client: RefreshClient = (round, masked, sendReply) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#open.set(round, { sendReply, close: resolve })
    this.#report()
    this.#send(round, { kind: 'refresh', round, frame: masked })
    return promise
  }

  /**
   * Follows the engine to its end.
   *
   * @returns the answer to the query
   */
  begin(logits: Promise<Uint8Array>): Promise<SentAnswer> {
    logits.then(
      (frame) => {
        this.#send(this.#options.rounds, { kind: 'logits', frame })
        this.#end.resolve()
      },
      (error) => this.#fail(error),
    )
    return this.wait(0)
  }

  /**
   * A masked tensor, or the logits, when it is there.
   *
   * @param number of the round; that behind the last one for the logits
   * @throws CONFIG_INVALID (409) when there is no such output, or it is not kept any more
   * @throws whatever ends the inference
   */
  wait(number: number): Promise<SentAnswer> {
    const { rounds } = this.#options
    if (number > rounds) throw conflicting(`The inference has ${rounds} rounds`, number)
    const output = this.#outputOf(number)
    if ('promise' in output) return output.promise
    if (output.answer) return Promise.resolve(output.answer)
    throw conflicting(`Round ${number} is over for so long that its tensor is not kept any more`, number)
  }

  /** Whether this very body has answered the round. @throws CONFIG_INVALID (409) when another one has */
  isRepeated(round: number, body: Uint8Array): boolean {
    const known = this.#replies.get(round)
    if (known === undefined) return false
    if (known.digest !== digestOf(body)) throw conflicting(`Round ${round} has another answer already`, round)
    return true
  }

  /**
   * Gives the engine the client's answer to a round. The same body again changes nothing.
   *
   * @throws CONFIG_INVALID (409) when the round has another answer, or the inference does not wait for it
   * @throws TENSOR_MALFORMED, TOO_LARGE, PARAMETERS_MISMATCH when the body is no answer; the round then still
   *   waits
   * @throws whatever ends the inference
   */
  async reply(round: number, body: Uint8Array): Promise<void> {
    if (this.isRepeated(round, body)) return this.#replies.get(round)!.accepted
    const open = this.#open.get(round)
    if (open === undefined) {
      const rounds = [...this.#open.keys()]
      const state = rounds.length > 0 ? `for round ${rounds.join(' and ')}` : 'for no round now'
      throw conflicting(`The inference waits ${state}, not for ${round}`, rounds[0])
    }
    // Known from here on, so that a repeated request meets the first one.
    const accepted = this.#sendReply(round, open.sendReply, body)
    accepted.catch(() => {})
    this.#replies.set(round, { digest: digestOf(body), accepted })
    await accepted
    open.close()
  }

  /** Forgets all that was said. */
  clear(): void {
    for (const output of this.#outputs.values()) if (!('promise' in output)) this.#options.cache.drop(output)
    this.#outputs.clear()
    this.#replies.clear()
  }

  async #sendReply(round: number, sendReply: SendReply, body: Uint8Array): Promise<void> {
    try {
      // Should the engine fail meanwhile, it takes nothing any more. The logits may overtake the word that it
      // has accepted it.
      await Promise.race([sendReply(body), this.#end.promise])
    } catch (error) {
      this.#replies.delete(round)
      throw error
    }
    this.#open.delete(round)
    this.#over++
    this.#report()
    await this.#replace(round)
  }

  /** Who has answered a round had its tensor. */
  async #replace(round: number): Promise<void> {
    const output = this.#outputOf(round)
    if ('promise' in output) this.#outputs.set(round, this.#options.cache.keep(await output.promise))
  }

  /**
   * Outputs that are not there by now never will be. Each has a promise of its own: a common one would hold
   * all of them.
   */
  #fail(error: unknown): void {
    this.#failure = { error }
    for (const output of this.#missing) output.reject(error)
    this.#missing.clear()
    this.#end.reject(error)
  }

  #send(number: number, output: EngineOutput): void {
    const place = this.#outputOf(number)
    if (!('promise' in place)) return
    this.#missing.delete(place)
    place.resolve(this.#options.encode(output))
  }

  #outputOf(number: number): PromiseWithResolvers<SentAnswer> | KeptAnswer {
    const known = this.#outputs.get(number)
    if (known) return known
    const output = promised<SentAnswer>()
    if (this.#failure) output.reject(this.#failure.error)
    else this.#missing.add(output)
    this.#outputs.set(number, output)
    return output
  }

  #report(): void {
    this.#options.onWaiting(this.#open.size, this.#over)
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
