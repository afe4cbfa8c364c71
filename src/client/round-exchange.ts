import { bytesToHex } from '@noble/hashes/utils.js'
import { refreshBytes } from './local/limits.ts'
import type { LocalModel } from './local/local-model.ts'
import { type CallOptions, reportingWait, secondsLeft } from './progress.ts'
import {
  cancelRequest,
  type Expected,
  outputRequest,
  replyRequest,
  serverFrame,
} from './transport/binary-body.ts'
import type { Answer, Request, Transport } from './transport/transport.ts'

/** The output that the server has to send after `round` replies. */
export function expectedAfter({ manifest, sizes }: LocalModel, round: number): Expected {
  const { rounds } = manifest
  return { round, rounds, bytes: round < rounds ? sizes.rounds[round].down : sizes.response }
}

/** A random id of 128 bits, so that other clients cannot guess it. */
export const newInferenceId = (): string => bytesToHex(crypto.getRandomValues(new Uint8Array(16)))

/** An inference whose query has been sent. */
export interface Begun {
  readonly inference: string
  readonly keySet: string
  /** The server's answer to the query. */
  readonly answer: Promise<Answer>
}

/** Masked tensors that are fetched ahead while the client refreshes one. */
const ROUNDS_AHEAD = 2
/** Replies that are sent at once; more would queue up on a slow link. */
const MOST_REPLIES = 2
/**
 * Bytes of outputs that are fetched ahead, and of replies that are sent while the client goes on. Rounds that
 * are larger go one by one, so that a manifest of large rounds does not take the client's memory several
 * times over.
 */
const OVERLAP_BYTES = 64 * 2 ** 20

/**
 * Runs the refresh rounds of an inference. Rounds overlap: masked tensors arrive and replies are sent while
 * the client refreshes a round. Every reply has the form that the manifest gives, so no request depends on
 * decrypted values.
 *
 * @returns the frame of the encrypted logits
 * @throws TENSOR_MALFORMED, TOO_LARGE, PARAMETERS_MISMATCH when the server sends another output than the
 *   manifest gives. The inference is then cancelled on the server, as it is when the caller's signal is
 *   aborted
 */
export async function runRounds(
  transport: Transport,
  model: LocalModel,
  begun: Begun,
  options: CallOptions,
): Promise<Uint8Array> {
  const { rounds } = model.manifest
  if (rounds === 0) return serverFrame(await begun.answer, expectedAfter(model, 0))
  const exchange = new RoundExchange(transport, model, begun, options)
  try {
    return await exchange.during(refreshAll(exchange, model, options))
  } catch (error) {
    exchange.end()
    // Otherwise the server would wait for a reply.
    await transport.tell(cancelRequest(begun))
    throw error
  }
}

async function refreshAll(
  exchange: RoundExchange,
  model: LocalModel,
  { signal, onProgress }: CallOptions,
): Promise<Uint8Array> {
  const { rounds } = model.manifest
  const report = progressOf(model, onProgress)
  for (let round = 0; round < rounds; round++) {
    const frame = await exchange.wait(round)
    report(round, frame.length)
    const refreshed = await model.refresh(round, frame)
    signal?.throwIfAborted()
    await exchange.reply(round, refreshed, () => report(round, refreshed.length))
  }
  const logits = await exchange.wait(rounds)
  await exchange.allReplied()
  report(rounds - 1, logits.length)
  return logits
}

/** Exchanges outputs and replies of one inference's rounds, several requests at a time. */
class RoundExchange {
  readonly #transport: Transport
  readonly #model: LocalModel
  readonly #begun: Begun
  readonly #ending = new AbortController()
  readonly #signal: AbortSignal
  readonly #onWait: (seconds: number) => void
  /** Outputs that have been requested and not yet returned by `wait`. */
  readonly #outputs = new Map<number, Promise<Uint8Array>>()
  /** Replies that are being sent, with their bytes. */
  readonly #replies = new Map<Promise<void>, number>()
  readonly #failure = Promise.withResolvers<never>()

  constructor(transport: Transport, model: LocalModel, begun: Begun, options: CallOptions) {
    this.#transport = transport
    this.#model = model
    this.#begun = begun
    const { signal } = options
    this.#signal = signal ? AbortSignal.any([signal, this.#ending.signal]) : this.#ending.signal
    this.#onWait = reportingWait(options, 'inference', model.sizes.response)
    this.#failure.promise.catch(() => {})
    this.#expect(0, begun.answer)
  }

  /** Waits for `work`, and rejects as soon as any request fails. */
  during<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failure.promise])
  }

  /**
   * Waits for an output, then requests the outputs that the server can send before the reply to this round.
   */
  async wait(round: number): Promise<Uint8Array> {
    const frame = await this.#outputs.get(round)!
    this.#outputs.delete(round)
    const last = round + ROUNDS_AHEAD
    let ahead = 0
    for (let next = round + 1; next <= last && mayOverlap(this.#model, next - 1); next++) {
      ahead += expectedAfter(this.#model, next).bytes
      if (ahead > OVERLAP_BYTES) break
      if (!this.#outputs.has(next)) this.#request(next)
    }
    return frame
  }

  /**
   * Sends the reply to a round; resolves when another reply may be sent. The server answers it with the next
   * output, unless that output has been requested separately.
   *
   * @param onSent called when the server has accepted the reply
   */
  async reply(round: number, frame: Uint8Array, onSent: () => void): Promise<void> {
    const { inference, keySet } = this.#begun
    const isAsked = this.#outputs.has(round + 1)
    const nextBytes = isAsked ? undefined : expectedAfter(this.#model, round + 1).bytes
    const reply = this.#send(replyRequest({ inference, round, keySet, frame }, nextBytes))
    if (!isAsked) this.#expect(round + 1, reply)
    const sent = reply.then(onSent)
    this.#replies.set(sent, frame.length)
    sent.then(() => this.#replies.delete(sent), this.#failure.reject)
    while (!this.#mayGoOn()) await Promise.race(this.#replies.keys())
  }

  async allReplied(): Promise<void> {
    await Promise.all(this.#replies.keys())
  }

  /** Whether another round may be refreshed while replies are being sent. */
  #mayGoOn(): boolean {
    const bytes = [...this.#replies.values()].reduce((sum, length) => sum + length, 0)
    return this.#replies.size < MOST_REPLIES && bytes <= OVERLAP_BYTES
  }

  /** Ends all requests. */
  end(): void {
    this.#ending.abort()
  }

  #request(round: number): void {
    const { inference, keySet } = this.#begun
    const { bytes } = expectedAfter(this.#model, round)
    this.#expect(round, this.#send(outputRequest({ inference, round, keySet }, bytes)))
  }

  #send(request: Request): Promise<Answer> {
    return this.#transport.sendRepeatable({ ...request, signal: this.#signal, onWait: this.#onWait })
  }

  #expect(round: number, answer: Promise<Answer>): void {
    const frame = answer.then((arrived) => serverFrame(arrived, expectedAfter(this.#model, round)))
    frame.catch(this.#failure.reject)
    this.#outputs.set(round, frame)
  }
}

/**
 * Whether the server may send the next round before the reply to this one. All rounds of a cut are full but
 * the last, so this is guessed from sizes. A wrong guess costs one request.
 */
function mayOverlap({ manifest: { refresh } }: LocalModel, round: number): boolean {
  const { ciphertexts } = refresh!
  return ciphertexts[round] === Math.max(...ciphertexts)
}

/** Reports bytes received and sent. */
function progressOf(
  { manifest: { rounds }, sizes }: LocalModel,
  onProgress: CallOptions['onProgress'],
): (round: number, bytes: number) => void {
  const { up, down } = refreshBytes(sizes)
  const bytesTotal = up + down + sizes.response
  const startedAt = performance.now()
  let bytesDone = 0
  return (round, bytes) => {
    bytesDone += bytes
    onProgress?.({
      stage: 'refresh',
      round: round + 1,
      rounds,
      bytesDone,
      bytesTotal,
      secondsLeft: secondsLeft(startedAt, bytesDone, bytesTotal),
    })
  }
}
