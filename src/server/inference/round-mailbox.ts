import { createHash } from 'node:crypto'
import type { RefreshClient } from '../../he-ops/engine.ts'
import { conflict, type HttpError } from '../problems/http-error.ts'
import type { AnswerMemory, KeptAnswer, SentAnswer } from './reply-cache.ts'

/** A frame that the engine makes for the client. */
export type EngineOutput =
  | { readonly kind: 'refresh'; readonly round: number; readonly frame: Uint8Array }
  | { readonly kind: 'logits'; readonly frame: Uint8Array }

export interface RoundMailboxOptions {
  /** Rounds of the inference. */
  readonly rounds: number
  /** Encodes an output as the bytes that the client gets; called once for each output. */
  readonly encode: (output: EngineOutput) => SentAnswer
  /** Called when a round begins to wait for the client or is over, with the number of either. */
  readonly onWaiting: (waiting: number, over: number) => void
  /** Keeps the outputs of rounds that are over. */
  readonly cache: AnswerMemory
}

type SendReply = Parameters<RefreshClient>[2]

/** A client's reply that has been sent to the engine. */
interface Reply {
  /** SHA-256 of the client's body. */
  readonly digest: string
  /** Resolves when the engine has checked the reply and accepted it. */
  readonly accepted: Promise<void>
}

/**
 * Connects the engine, which calls its client in each refresh round, with the HTTP requests of that client:
 * the engine sends outputs, requests wait for them, and replies go to the engine. Output `round` is the
 * masked tensor of that round; the output after the last round is the logits.
 */
export class RoundMailbox {
  readonly #options: RoundMailboxOptions
  /**
   * Outputs by number. When a round is over, a cache entry replaces its promise, so that the output can be
   * evicted.
   */
  readonly #outputs = new Map<number, PromiseWithResolvers<SentAnswer> | KeptAnswer>()
  /** Outputs that the engine has not sent yet, including those that `clear` removed from the map. */
  readonly #missing = new Set<PromiseWithResolvers<SentAnswer>>()
  readonly #replies = new Map<number, Reply>()
  /** Rounds in which the engine waits for a reply. */
  readonly #open = new Map<number, { readonly sendReply: SendReply; readonly close: () => void }>()
  /** Resolves when the engine has sent the logits, and rejects when it fails. */
  readonly #end = promised<void>()
  #failure: { readonly error: unknown } | undefined
  #over = 0

  constructor(options: RoundMailboxOptions) {
    this.#options = options
  }

  /** The client that the engine calls. Resolves when the reply to the round has been accepted. */
  readonly client: RefreshClient = (round, masked, sendReply) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#open.set(round, { sendReply, close: resolve })
    this.#report()
    this.#send(round, { kind: 'refresh', round, frame: masked })
    return promise
  }

  /**
   * Starts to follow an execution.
   *
   * @returns the first output, which answers the query
   */
  begin(logits: Promise<Uint8Array>): Promise<SentAnswer> {
    logits.then(
      (frame) => {
        const { rounds } = this.#options
        this.#send(rounds, { kind: 'logits', frame })
        this.#end.resolve()
        // The client may still ask for the logits, but they must not fill the memory.
        void this.#replace(rounds)
      },
      (error) => this.#fail(error),
    )
    return this.wait(0)
  }

  /**
   * Waits for an output of the engine.
   *
   * @param number the round, or the number of rounds for the logits
   * @throws CONFIG_INVALID (409) when the inference has no output of that number, or it was evicted
   * @throws the error that ends the inference
   */
  wait(number: number): Promise<SentAnswer> {
    const { rounds } = this.#options
    if (number > rounds) throw conflicting(`The inference has ${rounds} rounds`, number)
    const output = this.#outputOf(number)
    if ('promise' in output) return output.promise
    if (output.answer) return Promise.resolve(output.answer)
    throw conflicting(`Round ${number} is over for so long that its tensor is not kept any more`, number)
  }

  /**
   * Whether the round already has this body as its reply. @throws CONFIG_INVALID (409) when it has another
   */
  isRepeated(round: number, body: Uint8Array): boolean {
    const known = this.#replies.get(round)
    if (known === undefined) return false
    if (known.digest !== digestOf(body)) throw conflicting(`Round ${round} has another answer already`, round)
    return true
  }

  /**
   * Sends the client's reply to the engine. The same reply again has no effect.
   *
   * @throws CONFIG_INVALID (409) when the round has another reply, or the inference does not wait for it
   * @throws TENSOR_MALFORMED, TOO_LARGE, PARAMETERS_MISMATCH when the engine refuses the reply; the round
   *   then waits for another
   * @throws the error that ends the inference
   */
  async reply(round: number, body: Uint8Array): Promise<void> {
    if (this.isRepeated(round, body)) return this.#replies.get(round)!.accepted
    const open = this.#open.get(round)
    if (open === undefined) {
      const rounds = [...this.#open.keys()]
      const state = rounds.length > 0 ? `for round ${rounds.join(' and ')}` : 'for no round now'
      throw conflicting(`The inference waits ${state}, not for ${round}`, rounds[0])
    }
    // Noted before anything is awaited, so that a repeated request finds this reply.
    const accepted = this.#sendReply(round, open.sendReply, body)
    accepted.catch(() => {})
    this.#replies.set(round, { digest: digestOf(body), accepted })
    await accepted
    open.close()
  }

  /** Whether the logits are there and can be fetched. */
  get hasLogits(): boolean {
    const output = this.#outputs.get(this.#options.rounds)
    if (output === undefined) return false
    return 'promise' in output ? !this.#missing.has(output) : output.answer !== undefined
  }

  /** Forgets outputs and replies. */
  clear(): void {
    for (const output of this.#outputs.values()) if (!('promise' in output)) this.#options.cache.drop(output)
    this.#outputs.clear()
    this.#replies.clear()
  }

  async #sendReply(round: number, sendReply: SendReply, body: Uint8Array): Promise<void> {
    try {
      // An engine that fails meanwhile does not answer. The logits may arrive before the message that accepts
      // the reply.
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

  /** Replaces the promise of an output by a cache entry. */
  async #replace(round: number): Promise<void> {
    const output = this.#outputOf(round)
    if (!('promise' in output)) return
    const answer = await output.promise
    // The inference may have been forgotten meanwhile.
    if (this.#outputs.get(round) === output) this.#outputs.set(round, this.#options.cache.keep(answer))
  }

  /**
   * Rejects the outputs that the engine has not sent. Each output has its own promise, since a shared promise
   * would keep all outputs in memory.
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
  // A rejection without a listener must not end the process.
  resolvers.promise.catch(() => {})
  return resolvers
}

const digestOf = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')

const conflicting = (message: string, round: number | undefined): HttpError =>
  conflict('CONFIG_INVALID', message, round === undefined ? {} : { round })
