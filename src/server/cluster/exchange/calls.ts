import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { PolyVeilError } from '../../../errors/index.ts'
import { decodeMessage, encodeMessage, type MessageHead, receivedError, sentError } from './call-message.ts'
import type { RedisLog, SharedRedis } from './redis.ts'
import { redisAway } from './redis-calls.ts'

/** What a call, or its answer, carries. */
export interface Payload {
  readonly data?: unknown
  /** Bytes, such as a frame. */
  readonly body?: Uint8Array
}

export interface Received {
  readonly data: unknown
  readonly body: Buffer
}

/** Acts on a call or a word. @param from the process that sent it */
export type Handler = (received: Received, from: string) => Promise<Payload>

/** Answers for a process that has ended are forgotten after this time. */
const INBOX_MILLISECONDS = 60_000
/** The wait for a message is renewed after so many seconds. */
const WAIT_SECONDS = 5
/** A connection without an answer for so long is made anew: a network may have lost it without a word. */
const SILENT_MILLISECONDS = 15_000

interface Expected {
  readonly resolve: (received: Received) => void
  readonly reject: (error: unknown) => void
  /** The process that has to answer; undefined while it is not known. */
  to: string | undefined
}

/**
 * Calls between processes over Redis. Each process has an inbox, a list that it alone reads. Calls may take
 * long: one that waits for an output of an inference is answered when that is there.
 */
export class Calls {
  readonly #redis: SharedRedis
  readonly #self: string
  readonly #log: RedisLog
  readonly #handlers = new Map<string, Handler>()
  readonly #expected = new Map<string, Expected>()
  readonly #reader: Redis
  #isClosed = false

  /** @param self name of this process, which no other has */
  constructor(redis: SharedRedis, self: string, log: RedisLog) {
    this.#redis = redis
    this.#self = self
    this.#log = log
    this.#reader = redis.connect()
    // What was sent meanwhile may be lost, so nothing is waited for.
    this.#reader.on('close', () => this.#failAll(redisAway()))
    void this.#read()
  }

  get self(): string {
    return this.#self
  }

  /** Processes that have to answer a call. */
  get awaited(): ReadonlySet<string> {
    return new Set([...this.#expected.values()].flatMap(({ to }) => to ?? []))
  }

  /** Has calls and words of a name acted on. */
  handle(name: string, handler: Handler): void {
    this.#handlers.set(name, handler)
  }

  /**
   * Calls a process.
   *
   * @throws the error of the handler; WORKER_LOST when the process ends first; TOO_BUSY (503) when Redis is
   *   away
   */
  async call(to: string, name: string, { data, body }: Payload = {}): Promise<Received> {
    const { id, answer } = this.expect(to)
    try {
      await this.#send(to, { kind: 'call', id, from: this.#self, name, data }, body)
    } catch (error) {
      this.#expected.delete(id)
      throw error
    }
    return answer
  }

  /** Tells a process something, without an answer. @throws TOO_BUSY (503) when Redis is away */
  tell(to: string, name: string, { data, body }: Payload = {}): Promise<void> {
    return this.#send(to, { kind: 'word', id: randomUUID(), from: this.#self, name, data }, body)
  }

  /**
   * Waits for an answer that some process gives.
   *
   * @param to the process, where it is known
   * @returns the id that the answer has to name
   */
  expect(to?: string): { readonly id: string; readonly answer: Promise<Received> } {
    const id = randomUUID()
    const { promise, resolve, reject } = Promise.withResolvers<Received>()
    promise.catch(() => {})
    this.#expected.set(id, { resolve, reject, to })
    return { id, answer: promise }
  }

  /** Notes which process has to give an answer that is waited for. */
  expectFrom(id: string, to: string | undefined): void {
    const expected = this.#expected.get(id)
    if (expected) expected.to = to
  }

  /** Gives an answer that is waited for another id. One that names the former id is ignored from now on. */
  renew(id: string): string {
    const next = randomUUID()
    const expected = this.#take(id)
    if (expected) this.#expected.set(next, { ...expected, to: undefined })
    return next
  }

  /** Ends the wait for an answer. */
  giveUp(id: string, error: unknown): void {
    this.#take(id)?.reject(error)
  }

  /** Answers a call of another process. */
  answer(to: string, id: string, { data, body }: Payload = {}): Promise<void> {
    return this.#send(to, { kind: 'answer', id, from: this.#self, data }, body)
  }

  /** Answers a call of another process with an error. */
  refuse(to: string, id: string, error: unknown): Promise<void> {
    if (!(error instanceof PolyVeilError)) this.#log.error({ err: error }, 'A fault in a call')
    return this.#send(to, { kind: 'answer', id, from: this.#self, data: null, error: sentError(error) })
  }

  /** Names of calls that wait for a process, which has ended. */
  awaitedFrom(process: string): string[] {
    return [...this.#expected].filter(([, { to }]) => to === process).map(([id]) => id)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#reader.disconnect()
    this.#failAll(new PolyVeilError('WORKER_LOST', 'The server ends'))
    await this.#redis.commands.del(this.#inbox(this.#self)).catch(() => {})
  }

  async #read(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const found = await this.#next()
        if (found) this.#receive(found)
      } catch (err) {
        if (!this.#isClosed) this.#log.warn({ err }, 'Messages of other processes cannot be read')
        // The connection is made anew meanwhile.
        if (!this.#isClosed) await new Promise((resolve) => setTimeout(resolve, 100).unref())
      }
    }
  }

  /** @returns undefined when none has come within the time of a wait */
  async #next(): Promise<Buffer | undefined> {
    const timer = setTimeout(() => this.#reader.disconnect(true), SILENT_MILLISECONDS).unref()
    try {
      return (await this.#reader.brpopBuffer(this.#inbox(this.#self), WAIT_SECONDS))?.[1]
    } finally {
      clearTimeout(timer)
    }
  }

  #receive(bytes: Buffer): void {
    const message = decodeMessage(bytes)
    if (message === undefined) {
      this.#log.warn({ bytes: bytes.length }, 'A message of another process cannot be read')
      return
    }
    const { head, body } = message
    if (head.kind === 'answer') {
      const expected = this.#take(head.id)
      if (head.error) expected?.reject(receivedError(head.error))
      else expected?.resolve({ data: head.data, body })
    } else void this.#act(head, body)
  }

  async #act({ kind, id, from, name = '', data }: MessageHead, body: Buffer): Promise<void> {
    try {
      const handler = this.#handlers.get(name)
      if (!handler) throw new PolyVeilError('CONFIG_INVALID', `The process knows no call ${name}`)
      const result = await handler({ data, body }, from)
      if (kind === 'call') await this.answer(from, id, result)
    } catch (error) {
      if (kind === 'call') await this.refuse(from, id, error).catch(() => {})
      else this.#log.warn({ err: error, name }, 'A word of another process cannot be acted on')
    }
  }

  async #send(to: string, head: MessageHead, body?: Uint8Array): Promise<void> {
    const inbox = this.#inbox(to)
    await this.#redis.run((commands) =>
      commands.multi().lpush(inbox, encodeMessage(head, body)).pexpire(inbox, INBOX_MILLISECONDS).exec(),
    )
  }

  #take(id: string): Expected | undefined {
    const expected = this.#expected.get(id)
    this.#expected.delete(id)
    return expected
  }

  #failAll(error: unknown): void {
    for (const id of [...this.#expected.keys()]) this.giveUp(id, error)
  }

  #inbox(process: string): string {
    return this.#redis.name('inbox', process)
  }
}
