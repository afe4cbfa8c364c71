import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import type { ServedModel } from '../catalogue.ts'
import { badRequest } from '../problems/http-error.ts'
import type { SentAnswer } from './reply-cache.ts'
import type { EngineOutput } from './rounds.ts'

// The binary form of the Open Inference Protocol: a JSON document, directly followed by the tensor's bytes.
// The header below says where the one ends and the other begins.
export const LENGTH_HEADER = 'inference-header-content-length'
/** Names the key set: rounds are answered by the client whose inference it is, and by no other. */
export const KEY_SET_HEADER = 'polyveil-key-set'
export const MAX_JSON_BYTES = 64 * 1024
export const INFERENCE_ID = /^[A-Za-z0-9_-]{1,64}$/

const requestSchema = z.object({
  id: z.string().regex(INFERENCE_ID, 'must be 1 to 64 letters, digits, - or _').optional(),
  parameters: z.object({ key_set: z.string().max(128), manifest_digest: z.string().max(64) }),
  inputs: z.tuple([
    z.object({
      name: z.literal('image'),
      datatype: z.literal('BYTES'),
      shape: z.tuple([z.literal(1)]),
      parameters: z.object({ binary_data_size: z.int().nonnegative() }),
    }),
  ]),
})

export interface InferenceRequest {
  /** Chosen by the client, so that it can watch and cancel while its request is open. */
  readonly id?: string
  readonly keySet: string
  readonly manifestDigest: string
  /** The encrypted image; a buffer of its own, so that it can be transferred to a worker. */
  readonly frame: Uint8Array<ArrayBuffer>
}

/**
 * Splits the body of an inference request.
 *
 * @param jsonBytes length of the JSON document
 * @param frameBytes length that the encrypted image has to have
 * @throws CONFIG_INVALID (400) when the JSON is not as the protocol wants it
 * @throws TENSOR_MALFORMED, TOO_LARGE when lengths do not fit
 */
export function parseInference(body: Uint8Array, jsonBytes: number, frameBytes: number): InferenceRequest {
  if (jsonBytes > body.length)
    throw malformed('The body ends before its JSON header does', body.length, jsonBytes)
  const { id, parameters, inputs } = parseHeader(body.subarray(0, jsonBytes))
  const binary = body.subarray(jsonBytes)
  const announced = inputs[0].parameters.binary_data_size
  if (binary.length !== announced) {
    throw malformed('The body does not have the binary_data_size it announces', binary.length, announced)
  }
  requireFrameBytes(binary.length, frameBytes)
  return {
    id,
    keySet: parameters.key_set,
    manifestDigest: parameters.manifest_digest,
    frame: new Uint8Array(binary),
  }
}

/** The binary form of an answer: of the encrypted logits, or of a masked tensor for the client to refresh. */
export function inferenceResponse(
  { name: model, manifest: { rounds } }: ServedModel,
  id: string,
  { frame, ...sent }: EngineOutput,
): SentAnswer {
  const output = {
    name: sent.kind,
    datatype: 'BYTES',
    shape: [1],
    parameters: { binary_data_size: frame.length },
  }
  const parameters = sent.kind === 'refresh' ? { state: 'refresh', round: sent.round, rounds } : undefined
  const header = { model_name: model, model_version: '1', id, parameters, outputs: [output] }
  const json = Buffer.from(JSON.stringify(header))
  return { jsonBytes: json.length, body: Buffer.concat([json, frame]) }
}

function parseHeader(bytes: Uint8Array): z.infer<typeof requestSchema> {
  const parsed = requestSchema.safeParse(parseJson(bytes))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const field = issue.path.join('.')
  throw badRequest(`The JSON header is wrong${field && ` at ${field}`}: ${issue.message}`, { field })
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw badRequest(`The first bytes of the body are no JSON; ${LENGTH_HEADER} says how many they are`)
  }
}

function requireFrameBytes(bytes: number, expectedBytes: number): void {
  if (bytes === expectedBytes) return
  const code = bytes > expectedBytes ? 'TOO_LARGE' : 'TENSOR_MALFORMED'
  throw new PolyVeilError(code, `The encrypted image has ${bytes} bytes; this model takes ${expectedBytes}`, {
    bytes,
    expectedBytes,
  })
}

const malformed = (message: string, bytes: number, expectedBytes: number): PolyVeilError =>
  new PolyVeilError('TENSOR_MALFORMED', `${message}: ${bytes} bytes, not ${expectedBytes}`, {
    bytes,
    expectedBytes,
  })
