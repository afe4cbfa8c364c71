import { createHash } from 'node:crypto'
import { PolyVeilError } from '../../../errors/index.ts'
import type { RedisConnection } from './redis-connection.ts'

/** Seconds after which a client may try again. */
const RETRY_SECONDS = 5
const CALL_MILLISECONDS = 5000
/** So many calls in a row without an answer end the connection. */
const MOST_UNANSWERED = 3
/** Errors of a server that runs and takes no such command now. Others are faults of this program. */
const PASSING = /^(LOADING|READONLY|OOM|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|MISCONF|UNBLOCKED)\b/

/** A script in Lua that Redis runs as a whole: no other command comes in between. */
export interface Script {
  readonly text: string
  readonly sha: string
}

export const script = (text: string): Script => ({
  text,
  sha: createHash('sha1').update(text).digest('hex'),
})

/**
 * Calls of Redis that end: with its answer, or soon with TOO_BUSY. A connection alone would wait for a server
 * that is away as long as its options say, which may be for ever.
 *
 * After TOO_BUSY it is not known whether the call was made. Callers must be right either way.
 */
export class RedisCalls<C extends RedisConnection = RedisConnection> {
  readonly #connection: C
  readonly #milliseconds: number
  /** Calls in a row that had no answer in time. */
  #unanswered = 0

  constructor(connection: C, milliseconds = CALL_MILLISECONDS) {
    this.#connection = connection
    this.#milliseconds = milliseconds
  }

  /** @throws TOO_BUSY when Redis is away, or refuses commands for now */
  async ask<T>(call: (connection: C) => Promise<T>): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      reject(redisAway())
      this.#noteSilence()
    }, this.#milliseconds)
    const answer = call(this.#connection)
    // An answer that comes too late is nobody's.
    answer.catch(() => {})
    try {
      const result = await Promise.race([answer, late])
      this.#unanswered = 0
      return result
    } catch (cause) {
      throw isPassing(cause) ? redisAway(cause) : cause
    } finally {
      clearTimeout(timer)
    }
  }

  /** A network may have lost the connection without a word: then it is made anew. */
  #noteSilence(): void {
    this.#unanswered++
    if (this.#unanswered < MOST_UNANSWERED) return
    this.#unanswered = 0
    this.#connection.disconnect(true)
  }

  /** Runs a script, whose only key is `key`. @throws TOO_BUSY as `ask` */
  run({ text, sha }: Script, key: string, args: readonly (string | number)[]): Promise<unknown> {
    return this.ask(async (connection) => {
      try {
        return await connection.evalsha(sha, 1, key, ...args)
      } catch (error) {
        // A server that was started anew does not know the script.
        if (!String(error).includes('NOSCRIPT')) throw error
        return connection.eval(text, 1, key, ...args)
      }
    })
  }
}

/** Whether the cause is the connection, or a state of the server that passes. */
function isPassing(cause: unknown): boolean {
  if (cause instanceof PolyVeilError || !(cause instanceof Error)) return false
  if (cause.name !== 'ReplyError' || PASSING.test(cause.message)) return true
  // A transaction tells of the commands that were refused.
  const { previousErrors = [] } = cause as { previousErrors?: readonly unknown[] }
  return previousErrors.length > 0 && previousErrors.every(isPassing)
}

/** The error for what needs Redis while it is away. */
export const redisAway = (cause?: unknown): PolyVeilError =>
  new PolyVeilError(
    'TOO_BUSY',
    'The processes of this service cannot reach the Redis that they share',
    { retryAfter: RETRY_SECONDS },
    {
      cause,
      remedy: 'Try again after Retry-After. If it persists, tell the operator, whose Redis is away or full.',
    },
  )
