import * as z from 'zod'
import { boundedList } from '../../circuit/manifest/bounds.ts'
import { PolyVeilError } from '../../errors/index.ts'
import {
  BYTES_MEDIA_TYPE,
  CONTENT_TYPE,
  KEY_SET_HEADER,
  type keySetAnnouncementSchema,
  keySetSchema,
  keyUploadProgressSchema,
  keyUploadSchema,
  MAX_GALOIS_ELEMENTS,
  ROUTES,
  UPLOAD_OFFSET_HEADER,
} from '../../wire/protocol/index.ts'
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

/** Bytes of a part. Servers take up to `MAX_PART_BYTES`; proxies in between often take less. */
const PART_BYTES = 8 * 2 ** 20
/** Least size of a part. A part that fails is divided by four, down to this. */
const LEAST_PART_BYTES = 256 * 2 ** 10
/** How often a failed part is resumed at the server's offset. */
const MAX_RESUMES = 4

/** Time for the answer to the announcement after an abort: without its id the key set cannot be deleted. */
const GRACE_MILLISECONDS = 1000

/** An id that is safe in a header. It is a secret. */
const idSchema = z.string().regex(/^[\w.~-]{1,128}$/)
const createdSchema = keyUploadSchema.pick({ expires: true }).extend({ id: idSchema })
const stateSchema = createdSchema.extend({
  uploadOffset: z.int().nonnegative(),
  bytes: z.int().positive(),
  complete: keyUploadProgressSchema.shape.complete,
})
const storedSchema = stateSchema.extend({
  parametersDigest: keySetSchema.shape.parametersDigest,
  galoisElements: boundedList(z.int(), MAX_GALOIS_ELEMENTS),
})

/** A key set as a server holds it. */
export type StoredKeySet = z.infer<typeof storedSchema>

/**
 * Announcement of a key set: the exact size of all its chunks, and its Galois elements in ascending order.
 */
export type NewKeySet = Readonly<z.infer<typeof keySetAnnouncementSchema>>

export interface UploadOptions extends Pick<Request, 'signal' | 'onWait'> {
  readonly onSent?: (bytes: number) => void
}

/**
 * Uploads a key set while it is being made, with at most one part in memory. A part that breaks off is
 * resumed at the server's offset. Parts become smaller when a proxy in between refuses one (413) or closes
 * the connection. When the upload fails or is aborted, one short request deletes it on the server.
 *
 * @returns the server's id for the set and the time it expires (ISO 8601)
 * @throws NetworkError when a part fails too often; the server's error
 */
export async function uploadKeySet(
  transport: Transport,
  keySet: NewKeySet,
  chunks: AsyncIterable<Uint8Array>,
  { onSent, ...options }: UploadOptions,
): Promise<{ readonly id: string; readonly expires: string }> {
  const body = JSON.stringify(keySet)
  const announcement = {
    method: 'POST',
    path: ROUTES.keys,
    body,
    graceMilliseconds: GRACE_MILLISECONDS,
  } as const
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

/** The key set of an id on the server. @throws KEYS_EXPIRED when the server does not have it */
export async function storedKeySet(
  transport: Transport,
  id: string,
  signal?: AbortSignal,
): Promise<StoredKeySet> {
  const request = { method: 'GET', path: ROUTES.keys, headers: naming(id), signal } as const
  return parse(transport, storedSchema, await transport.json(request))
}

/** The key set of an id on the server; undefined when the server does not have it. */
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
export const deletion = (id: string): Request => ({
  method: 'DELETE',
  path: ROUTES.keys,
  headers: naming(id),
})

async function unlessExpired<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof PolyVeilError && error.code === 'KEYS_EXPIRED') return undefined
    throw error
  }
}

/** Sends the parts of one key set. */
class Upload {
  readonly #transport: Transport
  readonly #id: string
  readonly #options: Omit<UploadOptions, 'onSent'>
  /** Largest body of a request in bytes. */
  #most = PART_BYTES

  constructor(transport: Transport, id: string, options: Omit<UploadOptions, 'onSent'>) {
    this.#transport = transport
    this.#id = id
    this.#options = options
  }

  /**
   * Sends a part, in smaller pieces if a proxy limits bodies.
   *
   * @param start offset of the part in the key set
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
        // A limit that the proxy states does not count as a failure.
        if (this.#shrink(error)) continue
        failures++
        if (failures > MAX_RESUMES) throw error
        from = await this.#offsetAfter(error, failures)
      }
      if (from < start || from > end || failures > MAX_RESUMES) throw stuck(from)
    }
  }

  /** Makes pieces smaller. @returns whether the error is a proxy's limit that smaller pieces may pass */
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
      path: ROUTES.keys,
      headers: {
        ...naming(this.#id),
        [CONTENT_TYPE]: BYTES_MEDIA_TYPE,
        [UPLOAD_OFFSET_HEADER]: String(offset),
      },
      body,
      // The last part is answered when the whole key set has been checked.
      silenceMilliseconds: COMPUTING_MILLISECONDS,
      ...this.#options,
    }
    return parse(this.#transport, stateSchema, await this.#transport.json(request))
  }

  /** The server's offset after a piece failed: from its error, or asked after a pause. */
  async #offsetAfter(error: unknown, failures: number): Promise<number> {
    if (isInBetween(error) || hidesOffset(error)) {
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

/** Whether a proxy may have replaced the error that has the server's offset by a page of its own. */
const hidesOffset = (error: unknown): boolean => error instanceof ForeignAnswer && error.status === 409

const stuck = (offset: number): PolyVeilError =>
  new PolyVeilError('TENSOR_MALFORMED', `The upload of the keys cannot go on at byte ${offset}`)

/** The header that names a key set; its id must not be in the path, which proxies log. */
const naming = (id: string): Record<string, string> => ({ [KEY_SET_HEADER]: id })

function parse<T>(transport: Transport, schema: z.ZodType<T>, data: unknown): T {
  const parsed = schema.safeParse(data)
  if (!parsed.success) throw unintelligible(transport.base.origin)
  return parsed.data
}
