import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { parts } from './parts.ts'
import { pause } from './retry.ts'
import { NetworkError, type Transport, unintelligible } from './transport.ts'

/** Bytes of a part; servers take up to 16 MiB. */
const PART_BYTES = 8 * 2 ** 20
/** How often a part that does not get through is taken up again where the server stands. */
const MAX_RESUMES = 4

const createdSchema = z.looseObject({ id: z.string().min(1).max(128), expires: z.iso.datetime() })
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

export interface UploadOptions {
  readonly signal?: AbortSignal
  readonly onSent?: (bytes: number) => void
}

/**
 * Uploads a key set while it is being made; no more than a part of it is in memory. A part that breaks off is taken up
 * where the server stands.
 *
 * @returns the server's id for the set and the time it expires (ISO 8601)
 * @throws NetworkError when a part does not get through at all; the server's error
 */
export async function uploadKeySet(
  transport: Transport,
  keySet: NewKeySet,
  chunks: AsyncIterable<Uint8Array>,
  { signal, onSent }: UploadOptions,
): Promise<{ readonly id: string; readonly expires: string }> {
  const body = JSON.stringify(keySet)
  const created = await transport.json({ method: 'POST', path: 'v2/keys', body, signal })
  const { id } = parse(transport, createdSchema, created)
  let state: UploadState | undefined
  let offset = 0
  for await (const part of parts(chunks, PART_BYTES)) {
    state = await sendPart(transport, id, part, offset, signal)
    offset += part.length
    onSent?.(offset)
  }
  if (!state?.complete) throw unintelligible(transport.base.origin)
  return { id, expires: state.expires }
}

type UploadState = z.infer<typeof stateSchema>

/** What the server holds under an id. Throws KEYS_EXPIRED when it holds nothing. */
export async function storedKeySet(
  transport: Transport,
  id: string,
  signal?: AbortSignal,
): Promise<StoredKeySet> {
  return parse(transport, storedSchema, await transport.json({ method: 'GET', path: pathOf(id), signal }))
}

async function sendPart(
  transport: Transport,
  id: string,
  part: Uint8Array,
  start: number,
  signal: AbortSignal | undefined,
): Promise<UploadState> {
  let from = start
  for (let attempt = 1; ; attempt++) {
    try {
      const state = await put(transport, id, part.subarray(from - start), from, signal)
      if (state.uploadOffset === start + part.length) return state
      from = state.uploadOffset
    } catch (error) {
      if (attempt > MAX_RESUMES) throw error
      from = await serverOffset(transport, id, error, attempt, signal)
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
  signal: AbortSignal | undefined,
): Promise<UploadState> {
  const headers = { 'content-type': 'application/octet-stream', 'upload-offset': String(offset) }
  const answer = await transport.json({ method: 'PUT', path: pathOf(id), headers, body, signal })
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

const pathOf = (id: string): string => `v2/keys/${encodeURIComponent(id)}`

function parse<T>(transport: Transport, schema: z.ZodType<T>, data: unknown): T {
  const parsed = schema.safeParse(data)
  if (!parsed.success) throw unintelligible(transport.base.origin)
  return parsed.data
}
