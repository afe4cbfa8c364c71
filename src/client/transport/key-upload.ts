import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { KEY_SET_HEADER } from './binary-body.ts'
import { parts } from './parts.ts'
import { pause } from './retry.ts'
import { NetworkError, type Request, type Transport, unintelligible } from './transport.ts'

/** Bytes of a part; servers take up to 16 MiB. */
const PART_BYTES = 8 * 2 ** 20
/** How often a part that does not get through is taken up again where the server stands. */
const MAX_RESUMES = 4

/** Without the answer to its announcement a client that stops could not delete the key set. */
const GRACE_MILLISECONDS = 1000

/** What goes into a header, and is shown to nobody. */
const idSchema = z.string().regex(/^[\w.~-]{1,128}$/)
const createdSchema = z.looseObject({ id: idSchema, expires: z.iso.datetime() })
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
 * Uploads a key set while it is being made; no more than a part of it is in memory. A part that breaks off is taken up
 * where the server stands. When the upload fails or is aborted, the server is told that it is over: once, and briefly.
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
  try {
    transport.throwIfAborted(options)
    let state: UploadState | undefined
    let offset = 0
    for await (const part of parts(chunks, PART_BYTES)) {
      state = await sendPart(transport, id, part, offset, options)
      offset += part.length
      onSent?.(offset)
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

async function sendPart(
  transport: Transport,
  id: string,
  part: Uint8Array,
  start: number,
  options: UploadOptions,
): Promise<UploadState> {
  let from = start
  for (let attempt = 1; ; attempt++) {
    try {
      const state = await put(transport, id, part.subarray(from - start), from, options)
      if (state.uploadOffset === start + part.length) return state
      from = state.uploadOffset
    } catch (error) {
      if (attempt > MAX_RESUMES) throw error
      from = await serverOffset(transport, id, error, attempt, options.signal)
    }
    if (from < start || from > start + part.length || attempt > MAX_RESUMES) {
      throw new PolyVeilError('TENSOR_MALFORMED', `The upload of the keys cannot go on at byte ${from}`)
    }
  }
}

async function put(
  transport: Transport,
  id: string,
  body: Uint8Array,
  offset: number,
  options: UploadOptions,
): Promise<UploadState> {
  const headers = {
    ...naming(id),
    'content-type': 'application/octet-stream',
    'upload-offset': String(offset),
  }
  const answer = await transport.json({ method: 'PUT', path: PATH, headers, body, ...options })
  return parse(transport, stateSchema, answer)
}

/** Where to go on after a part failed: the server said so, or is asked once the network is back. */
async function serverOffset(
  transport: Transport,
  id: string,
  error: unknown,
  attempt: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  if (error instanceof NetworkError) {
    await pause(500 * 2 ** attempt, signal)
    return (await storedKeySet(transport, id, signal)).uploadOffset
  }
  if (error instanceof PolyVeilError && typeof error.facts.uploadOffset === 'number') {
    return error.facts.uploadOffset
  }
  throw error
}

const PATH = 'v2/keys'

/** Ids are in a header: proxies log paths. */
const naming = (id: string): Record<string, string> => ({ [KEY_SET_HEADER]: id })

function parse<T>(transport: Transport, schema: z.ZodType<T>, data: unknown): T {
  const parsed = schema.safeParse(data)
  if (!parsed.success) throw unintelligible(transport.base.origin)
  return parsed.data
}
