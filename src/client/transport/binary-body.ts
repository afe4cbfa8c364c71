import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { type Answer, COMPUTING_MILLISECONDS, type Request } from './transport.ts'

// The binary form of the Open Inference Protocol: a JSON document of as many bytes as this header says, then
// the tensor's bytes.
const LENGTH_HEADER = 'inference-header-content-length'
/** Names the key set whose owner sends a request. */
export const KEY_SET_HEADER = 'polyveil-key-set'
const MAX_HEADER_BYTES = 64 * 2 ** 10

export interface Query {
  /** Names the inference, so that it can be answered and cancelled; nobody else should guess it. */
  readonly inference: string
  readonly model: string
  readonly keySet: string
  readonly manifestDigest: string
  /** The encrypted image. */
  readonly frame: Uint8Array
  /** Exact size of the frame that answers it: a masked tensor's or the encrypted logits'. */
  readonly answerBytes: number
}

/** The request that has an encrypted image classified. */
export function inferenceRequest({
  inference,
  model,
  keySet,
  manifestDigest,
  frame,
  answerBytes,
}: Query): Request {
  const tensor = {
    name: 'image',
    datatype: 'BYTES',
    shape: [1],
    parameters: { binary_data_size: frame.length },
  }
  const parameters = { key_set: keySet, manifest_digest: manifestDigest }
  const header = new TextEncoder().encode(JSON.stringify({ id: inference, parameters, inputs: [tensor] }))
  const body = new Uint8Array(header.length + frame.length)
  body.set(header)
  body.set(frame, header.length)
  return {
    method: 'POST',
    path: `v2/models/${encodeURIComponent(model)}/infer`,
    headers: { 'content-type': 'application/octet-stream', [LENGTH_HEADER]: String(header.length) },
    body,
    maxBytes: answerBytes + MAX_HEADER_BYTES,
    silenceMilliseconds: COMPUTING_MILLISECONDS,
  }
}

/** The answer of a client to a refresh round. */
export interface RoundAnswer {
  readonly inference: string
  readonly round: number
  readonly keySet: string
  readonly frame: Uint8Array
}

/**
 * The request that answers a refresh round. Repeating it is safe: the server answers the same body with the
 * same bytes.
 *
 * @param nextBytes exact size of the frame that comes next; absent when it is fetched apart
 */
export function roundRequest({ inference, round, keySet, frame }: RoundAnswer, nextBytes?: number): Request {
  return {
    method: 'POST',
    path: roundPath(inference, round),
    headers: {
      'content-type': 'application/octet-stream',
      [KEY_SET_HEADER]: keySet,
      ...(nextBytes === undefined && { prefer: 'return=minimal' }),
    },
    body: frame,
    maxBytes: MAX_HEADER_BYTES + (nextBytes ?? 0),
    silenceMilliseconds: COMPUTING_MILLISECONDS,
  }
}

/**
 * The request for a round's masked tensor or, with the number behind the last one, for the encrypted logits.
 * The server answers when they are there; repeating it is safe.
 *
 * @param bytes exact size of the frame
 */
export function outputRequest(
  { inference, round, keySet }: Omit<RoundAnswer, 'frame'>,
  bytes: number,
): Request {
  return {
    method: 'GET',
    path: roundPath(inference, round),
    headers: { [KEY_SET_HEADER]: keySet },
    maxBytes: bytes + MAX_HEADER_BYTES,
    silenceMilliseconds: COMPUTING_MILLISECONDS,
  }
}

/** The request that ends an inference. */
export const cancelRequest = (inference: string): Request => ({
  method: 'DELETE',
  path: inferencePath(inference),
})

const roundPath = (inference: string, round: number): string => `${inferencePath(inference)}/rounds/${round}`

const inferencePath = (id: string): string => `v2/inferences/${encodeURIComponent(id)}`

const output = <Name extends string>(name: Name) =>
  z.tuple([
    z.looseObject({
      name: z.literal(name),
      datatype: z.literal('BYTES'),
      parameters: z.looseObject({ binary_data_size: z.int().nonnegative() }),
    }),
  ])
const answerSchema = z.union([
  z.looseObject({ outputs: output('logits') }),
  z.looseObject({
    parameters: z.looseObject({ state: z.literal('refresh'), round: z.int(), rounds: z.int() }),
    outputs: output('refresh'),
  }),
])

/**
 * What has to come from the server next: the masked tensor of a round, or, behind the last one, the logits.
 */
export interface Expected {
  readonly round: number
  /** Of the model's manifest. */
  readonly rounds: number
  /** Exact size of the frame. */
  readonly bytes: number
}

/**
 * Takes the frame out of an answer. What it holds is checked by whoever decrypts it.
 *
 * @throws TENSOR_MALFORMED when the answer is not in the protocol's binary form, of another size, or not what
 *   has to come: a server that asks for other rounds than its manifest has is refused
 */
export function serverFrame({ headers, body }: Answer, expected: Expected): Uint8Array {
  const headerBytes = Number(headers.get(LENGTH_HEADER))
  if (!Number.isInteger(headerBytes) || headerBytes < 2 || headerBytes > body.length) {
    throw malformed('has no valid length of its JSON header')
  }
  const parsed = answerSchema.safeParse(parseJson(body.subarray(0, headerBytes)))
  if (!parsed.success) throw malformed('has a JSON header of another form')
  requireExpected(parsed.data, expected)
  const frame = body.subarray(headerBytes)
  const announced = parsed.data.outputs[0].parameters.binary_data_size
  if (frame.length !== announced || frame.length !== expected.bytes) {
    throw malformed(`has a frame of ${frame.length} bytes where ${expected.bytes} belong`)
  }
  return frame
}

function requireExpected(answer: z.infer<typeof answerSchema>, { round, rounds }: Expected): void {
  const asked = 'parameters' in answer ? (answer.parameters as { round: number; rounds: number }) : undefined
  if (answer.outputs[0].name === 'logits') {
    if (round === rounds) return
    throw malformed(`ends the inference before refresh round ${round} of ${rounds}`)
  }
  if (round === rounds) throw malformed(`asks for more refresh rounds than the ${rounds} of the manifest`)
  if (asked?.round === round && asked.rounds === rounds) return
  throw malformed(
    `asks for refresh round ${asked?.round} of ${asked?.rounds} where ${round} of ${rounds} belongs`,
  )
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
