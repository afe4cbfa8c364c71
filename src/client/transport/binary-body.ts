import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import type { Answer, Request } from './transport.ts'

// The binary form of the Open Inference Protocol: a JSON document of as many bytes as this header says, then the
// tensor's bytes.
const LENGTH_HEADER = 'inference-header-content-length'
const MAX_HEADER_BYTES = 64 * 2 ** 10

export interface Query {
  readonly model: string
  readonly keySet: string
  readonly manifestDigest: string
  /** The encrypted image. */
  readonly frame: Uint8Array
  /** Exact size of the encrypted logits. */
  readonly responseBytes: number
}

/** The request that has an encrypted image classified. */
export function inferenceRequest({ model, keySet, manifestDigest, frame, responseBytes }: Query): Request {
  const tensor = {
    name: 'image',
    datatype: 'BYTES',
    shape: [1],
    parameters: { binary_data_size: frame.length },
  }
  const parameters = { key_set: keySet, manifest_digest: manifestDigest }
  const header = new TextEncoder().encode(JSON.stringify({ parameters, inputs: [tensor] }))
  const body = new Uint8Array(header.length + frame.length)
  body.set(header)
  body.set(frame, header.length)
  return {
    method: 'POST',
    path: `v2/models/${encodeURIComponent(model)}/infer`,
    headers: { 'content-type': 'application/octet-stream', [LENGTH_HEADER]: String(header.length) },
    body,
    maxBytes: responseBytes + MAX_HEADER_BYTES,
  }
}

const answerSchema = z.looseObject({
  outputs: z.tuple([
    z.looseObject({
      name: z.literal('logits'),
      datatype: z.literal('BYTES'),
      parameters: z.looseObject({ binary_data_size: z.int().nonnegative() }),
    }),
  ]),
})

/**
 * The encrypted logits in the answer to an `inferenceRequest`. What they hold is checked when they are decrypted.
 *
 * @throws TENSOR_MALFORMED when the answer is not in the protocol's binary form, or of another size
 */
export function inferenceFrame({ headers, body }: Answer, responseBytes: number): Uint8Array {
  const headerBytes = Number(headers.get(LENGTH_HEADER))
  if (!Number.isInteger(headerBytes) || headerBytes < 2 || headerBytes > body.length) {
    throw malformed('has no valid length of its JSON header')
  }
  const parsed = answerSchema.safeParse(parseJson(body.subarray(0, headerBytes)))
  if (!parsed.success) throw malformed('has a JSON header of another form')
  const frame = body.subarray(headerBytes)
  const announced = parsed.data.outputs[0].parameters.binary_data_size
  if (frame.length !== announced || frame.length !== responseBytes) {
    throw malformed(`has ${frame.length} bytes of logits where ${responseBytes} belong`)
  }
  return frame
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
}

const malformed = (what: string): PolyVeilError =>
  new PolyVeilError('TENSOR_MALFORMED', `The server's answer ${what}`)
