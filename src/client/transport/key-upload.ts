import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { KEY_SET_HEADER } from './binary-body.ts'
import { ForeignAnswer } from './foreign-answer.ts'
import { NetworkError } from './network-error.ts'
import { parts } from './parts.ts'
import { pause } from './retry.ts'
import {
  COMPUTING_MILLISECONDS,
  isInBetween,
  type Request,
  type Transport,
  unintelligible,
} from './transport.ts'

/** Bytes of a part; servers take up to 16 MiB, proxies in between often less. */
const PART_BYTES = 8 * 2 ** 20
/** Parts that do not get through become a quarter, down to this. */
const LEAST_PART_BYTES = 256 * 2 ** 10
/** How often a part that does not get through is taken up again where the server stands. */
const MAX_RESUMES = 4

/** Without the answer to its announcement a client that stops could not delete the key set. */
const GRACE_MILLISECONDS = 1000

/** What goes into a header, and is shown to nobody. */
const idSchema = z.string().regex(/^[\w.~-]{1,128}$/)
/** Kept and shown: of any length it would fill store and screen with the digits of a second. */
const expirySchema = z.iso.datetime().max(40)
const createdSchema = z.looseObject({ id: idSchema, expires: expirySchema })
const stateSchema = createdSchema.extend({
  uploadOffset: z.int().nonnegative(),
  bytes: z.int().positive(),
  complete: z.boolean(),
})
const storedSchema = stateSchema.extend({ parametersDigest: z.string(), galoisElements: z.array(z.int()) })

/** A key set as a server holds it. */
export type StoredKeySet = z.infer<typeof storedSchema>

/** What is to be uploaded. */
export interface NewKeySet {
  readonly parametersDigest: string
  /** Exact size of all chunks. */
  readonly bytes: number
  /** Ascending. */
  readonly galoisElements: readonly number[]
}

export interface UploadOptions extends Pick<Request, 'signal' | 'onWait'> {
  readonly onSent?: (bytes: number) => void
}

/**
 * Uploads a key set while it is being made; no more than a part of it is in memory. A part that breaks off is
 * taken up where the server stands. Parts become smaller where one is too large for a proxy in between,
 * whether the proxy says so (413) or closes the connection. When the upload fails or is aborted, the server
 * is told that it is over: once, and briefly.
 *
 * @returns the server's id for the set and the time it expires (ISO 8601)
 * @throws NetworkError when a part does not get through at all; the server's error
 */
export async function uploadKeySet(
  transport: Transport,
  keySet: NewKeySet,
  chunks: AsyncIterable<Uint8Array>,
  { onSent, ...options }: UploadOptions,
): Promise<{ readonly id: string; readonly expires: string }> {
  const body = JSON.stringify(keySet)
  const announcement = { method: 'POST', path: PATH, body, graceMilliseconds: GRACE_MILLISECONDS } as const
  const created = await transport.json({ ...announcement, ...options })
  const { id } = parse(transport, createdSchema, created)
  const upload = new Upload(transport, id, options)
  try {
    transport.throwIfAborted(options)
    let state: UploadState | undefined
    let offset = 0
    for await (const part of parts(chunks, PART_BYTES)) {
      state = await upload.send(part, offset, onSent)
      offset += part.length
    }
    if (!state?.complete) throw unintelligible(transport.base.origin)
    return { id, expires: state.expires }
  } catch (error) {
    await transport.tell(deletion(id))
    throw error
  }
}

type UploadState = z.infer<typeof stateSchema>

/** What the server holds under an id. @throws KEYS_EXPIRED when it holds nothing */
export async function storedKeySet(
  transport: Transport,
  id: string,
  signal?: AbortSignal,
): Promise<StoredKeySet> {
  const request = { method: 'GET', path: PATH, headers: naming(id), signal } as const
  return parse(transport, storedSchema, await transport.json(request))
}

/** What the server holds under an id; undefined when it holds nothing. */
export const storedIfPresent = (
  transport: Transport,
  id: string,
  signal?: AbortSignal,
): Promise<StoredKeySet | undefined> => unlessExpired(storedKeySet(transport, id, signal))

/** Deletes a key set on the server. @returns whether the server had it */
export async function deleteKeySet(transport: Transport, id: string, signal?: AbortSignal): Promise<boolean> {
  return (await unlessExpired(transport.send({ ...deletion(id), signal }))) !== undefined
}

/** The request that deletes a key set. */
export const deletion = (id: string): Request => ({ method: 'DELETE', path: PATH, headers: naming(id) })

async function unlessExpired<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof PolyVeilError && error.code === 'KEYS_EXPIRED') return undefined
    throw error
  }
}

/** The parts of one key set on their way. */
class Upload {
  readonly #transport: Transport
  readonly #id: string
  readonly #options: Omit<UploadOptions, 'onSent'>
  /** Most bytes that a request carries. */
  #most = PART_BYTES

  constructor(transport: Transport, id: string, options: Omit<UploadOptions, 'onSent'>) {
    this.#transport = transport
    this.#id = id
    this.#options = options
  }

  /**
   * Sends a part, in pieces where there is need.
   *
   * @param start where it begins in the key set
   * @param onSent called with the bytes that the server has, after each piece
   */
  async send(part: Uint8Array, start: number, onSent: UploadOptions['onSent']): Promise<UploadState> {
    const end = start + part.length
    let from = start
    for (let failures = 0; ; ) {
      const piece = part.subarray(from - start, Math.min(from + this.#most, end) - start)
      try {
        const state = await this.#put(piece, from)
        if (state.uploadOffset !== from + piece.length) failures++
        from = state.uploadOffset
        if (from > start && from <= end) onSent?.(from)
        if (from === end) return state
      } catch (error) {
        // A proxy that says what is wrong needs no patience.
        if (this.#shrink(error)) continue
        failures++
        if (failures > MAX_RESUMES) throw error
        from = await this.#offsetAfter(error, failures)
      }
      if (from < start || from > end || failures > MAX_RESUMES) throw stuck(from)
    }
  }

  /** @returns whether the error is a proxy's limit that smaller pieces may pass */
  #shrink(error: unknown): boolean {
    const isLimit = error instanceof ForeignAnswer && error.status === 413
    const isBroken = error instanceof NetworkError && ['broken', 'unknown'].includes(error.reason)
    const isSmallest = this.#most <= LEAST_PART_BYTES
    if (isLimit || isBroken) this.#most = Math.max(LEAST_PART_BYTES, this.#most / 4)
    return isLimit && !isSmallest
  }

  async #put(body: Uint8Array, offset: number): Promise<UploadState> {
    const request = {
      method: 'PUT' as const,
      path: PATH,
      headers: {
        ...naming(this.#id),
        'content-type': 'application/octet-stream',
        'upload-offset': String(offset),
      },
      body,
      // The last part is answered when the whole key set has been checked.
      silenceMilliseconds: COMPUTING_MILLISECONDS,
      ...this.#options,
    }
    return parse(this.#transport, stateSchema, await this.#transport.json(request))
  }

  /** Where to go on after a piece failed: the server said so, or is asked once the network is back. */
  async #offsetAfter(error: unknown, failures: number): Promise<number> {
    if (isInBetween(error)) {
      const { signal } = this.#options
      await pause(500 * 2 ** failures, signal)
      return (await storedKeySet(this.#transport, this.#id, signal)).uploadOffset
    }
    if (error instanceof PolyVeilError && typeof error.facts.uploadOffset === 'number') {
      return error.facts.uploadOffset
    }
    throw error
  }
}

const stuck = (offset: number): PolyVeilError =>
  new PolyVeilError('TENSOR_MALFORMED', `The upload of the keys cannot go on at byte ${offset}`)

const PATH = 'v2/keys'

/** Ids are in a header: proxies log paths. */
const naming = (id: string): Record<string, string> => ({ [KEY_SET_HEADER]: id })

function parse<T>(transport: Transport, schema: z.ZodType<T>, data: unknown): T {
  const parsed = schema.safeParse(data)
  if (!parsed.success) throw unintelligible(transport.base.origin)
  return parsed.data
}
