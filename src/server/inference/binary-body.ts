import { PolyVeilError } from '../../errors/index.ts'
import {
  type AnswerHeader,
  BINARY_DATATYPE,
  JSON_LENGTH_HEADER,
  type QueryHeader,
  queryHeaderSchema,
} from '../../wire/protocol/index.ts'
import type { ServedModel } from '../models/catalogue.ts'
import { badRequest } from '../problems/http-error.ts'
import { issueDescriber } from '../problems/request-issue.ts'
import type { SentAnswer } from './reply-cache.ts'
import type { EngineOutput } from './round-mailbox.ts'

export interface InferenceRequest {
  /** The client chooses it, so that it can watch and cancel the inference while its request is open. */
  readonly id?: string
  readonly keySet: string
  readonly manifestDigest: string
  /** The encrypted image, in a separate buffer that can be transferred to a worker. */
  readonly frame: Uint8Array<ArrayBuffer>
}

/**
 * Splits the body of an inference request.
 *
 * @param jsonBytes length of the JSON document
 * @throws CONFIG_INVALID (400) when the JSON does not fit `queryHeaderSchema`
 * @throws TENSOR_MALFORMED when the lengths contradict each other
 */
export function parseInference(body: Uint8Array, jsonBytes: number): InferenceRequest {
  if (jsonBytes > body.length)
    throw malformed('The body ends before its JSON header does', body.length, jsonBytes)
  const { id, parameters, inputs } = parseHeader(body.subarray(0, jsonBytes))
  const binary = body.subarray(jsonBytes)
  const announced = inputs[0].parameters.binary_data_size
  if (binary.length !== announced) {
    throw malformed('The body does not have the binary_data_size it announces', binary.length, announced)
  }
  return {
    id,
    keySet: parameters.key_set,
    manifestDigest: parameters.manifest_digest,
    frame: new Uint8Array(binary),
  }
}

/** Encodes an output of the engine, logits or a masked tensor, as a JSON document followed by the frame. */
export function inferenceResponse(
  { name: model, version, manifest: { rounds } }: ServedModel,
  id: string,
  { frame, ...sent }: EngineOutput,
): SentAnswer {
  const tensor = {
    datatype: BINARY_DATATYPE,
    shape: [1],
    parameters: { binary_data_size: frame.length },
  } as const
  const identity = { model_name: model, model_version: String(version), id }
  const header: AnswerHeader =
    sent.kind === 'logits'
      ? { ...identity, outputs: [{ name: 'logits', ...tensor }] }
      : {
          ...identity,
          parameters: { state: 'refresh', round: sent.round, rounds },
          outputs: [{ name: 'refresh', ...tensor }],
        }
  const json = Buffer.from(JSON.stringify(header))
  return { jsonBytes: json.length, body: Buffer.concat([json, frame]) }
}

const describeIssue = issueDescriber(
  { whole: 'The JSON header', member: (name) => `The field ${name} of the JSON header`, field: '' },
  queryHeaderSchema,
)

function parseHeader(bytes: Uint8Array): QueryHeader {
  const json = parseJson(bytes)
  const { data, error } = queryHeaderSchema.safeParse(json)
  if (error === undefined) return data
  const { message, field } = describeIssue(json, error)
  throw badRequest(message, { field })
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw badRequest(`The first bytes of the body are no JSON; ${JSON_LENGTH_HEADER} says how many they are`)
  }
}

/** @throws TENSOR_MALFORMED, TOO_LARGE unless the encrypted image has the length that the model takes */
export function requireFrameBytes(
  { frame }: InferenceRequest,
  { queryBytes: expectedBytes }: ServedModel,
): void {
  const bytes = frame.length
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
