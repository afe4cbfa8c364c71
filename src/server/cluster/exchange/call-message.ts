import { z } from 'zod'
import { PolyVeilError } from '../../../errors/index.ts'
import { HttpError } from '../../problems/http-error.ts'

const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  facts: z.record(z.string(), z.any()).optional(),
  remedy: z.string().optional(),
  /** Where it is another than that of the code. */
  status: z.int().optional(),
})

const headSchema = z.object({
  kind: z.enum(['call', 'answer', 'word']),
  /** Names the call, and the answer to it. */
  id: z.string(),
  /** The process that sends it. */
  from: z.string(),
  /** What is called. */
  name: z.string().optional(),
  data: z.unknown().optional(),
  error: errorSchema.optional(),
})

/** The head of a message between two processes: a call, its answer, or a word that has no answer. */
export type MessageHead = z.infer<typeof headSchema>
export type SentError = z.infer<typeof errorSchema>

export interface CallMessage {
  readonly head: MessageHead
  /** Bytes behind the head, such as a frame. */
  readonly body: Buffer
}

const LENGTH_BYTES = 4

/** A message as bytes: the length of the head, the head in JSON, the body. */
export function encodeMessage(head: MessageHead, body: Uint8Array = new Uint8Array()): Buffer {
  const json = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(json.length)
  return Buffer.concat([length, json, body])
}

/** @returns undefined for bytes that are no message */
export function decodeMessage(bytes: Buffer): CallMessage | undefined {
  if (bytes.length < LENGTH_BYTES) return undefined
  const end = LENGTH_BYTES + bytes.readUInt32BE()
  if (end > bytes.length) return undefined
  try {
    const head = headSchema.parse(JSON.parse(bytes.toString('utf8', LENGTH_BYTES, end)))
    return { head, body: bytes.subarray(end) }
  } catch {
    return undefined
  }
}

/** An error for another process. A fault of the program says no more than that there was one. */
export function sentError(error: unknown): SentError {
  if (!(error instanceof PolyVeilError)) return { code: 'INTERNAL', message: 'A fault of a worker process' }
  return { ...error.toJSON(), ...(error instanceof HttpError && { status: error.status }) }
}

export function receivedError({ status, ...data }: SentError): PolyVeilError {
  const error = PolyVeilError.fromJSON(data)
  if (status === undefined) return error
  return new HttpError(status, error.code, error.message, error.facts, { remedy: error.remedy })
}
