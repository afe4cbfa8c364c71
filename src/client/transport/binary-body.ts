import { PolyVeilError } from '../../errors/index.ts'
import {
  type AnswerHeader,
  answerHeaderSchema,
  BINARY_DATATYPE,
  BYTES_MEDIA_TYPE,
  CONTENT_TYPE,
  JSON_LENGTH_HEADER,
  KEY_SET_HEADER,
  MAX_JSON_HEADER_BYTES,
  PREFER_ASYNC,
  PREFER_HEADER,
  PREFER_MINIMAL,
  pathOf,
  type QueryHeader,
  ROUTES,
} from '../../wire/protocol/index.ts'
import { type Answer, COMPUTING_MILLISECONDS, type Request } from './transport.ts'

export interface Query {
  /** Random id of the inference, by which the client replies to rounds and cancels it. */
  readonly inference: string
  readonly model: string
  readonly keySet: string
  readonly manifestDigest: string
  /** The encrypted image. */
  readonly frame: Uint8Array
  /** Exact size of the frame that answers it: a masked tensor's or the encrypted logits'. */
  readonly answerBytes: number
  /** Whether the answer is fetched by a request of its own. */
  readonly isAnsweredLater?: boolean
}

/** The request that has an encrypted image classified. */
export function inferenceRequest({
  inference,
  model,
  keySet,
  manifestDigest,
  frame,
  answerBytes,
  isAnsweredLater,
}: Query): Request {
  const document: QueryHeader = {
    id: inference,
    parameters: { key_set: keySet, manifest_digest: manifestDigest },
    inputs: [
      {
        name: 'image',
        datatype: BINARY_DATATYPE,
        shape: [1],
        parameters: { binary_data_size: frame.length },
      },
    ],
  }
  const header = new TextEncoder().encode(JSON.stringify(document))
  const body = new Uint8Array(header.length + frame.length)
  body.set(header)
  body.set(frame, header.length)
  return {
    method: 'POST',
    path: pathOf(ROUTES.infer, { model }),
    headers: {
      [CONTENT_TYPE]: BYTES_MEDIA_TYPE,
      [JSON_LENGTH_HEADER]: String(header.length),
      ...(isAnsweredLater && { [PREFER_HEADER]: PREFER_ASYNC }),
    },
    body,
    bodyNamesKeySet: true,
    maxBytes: answerBytes + MAX_JSON_HEADER_BYTES,
    silenceMilliseconds: COMPUTING_MILLISECONDS,
  }
}

/** The client's reply to a refresh round. */
export interface RoundReply {
  readonly inference: string
  readonly round: number
  readonly keySet: string
  readonly frame: Uint8Array
}

/**
 * The request that sends a reply to a refresh round. It can be repeated: the server answers the same body
 * with the same bytes.
 *
 * @param nextBytes exact size of the next output; absent when another request fetches it
 */
export function replyRequest({ inference, round, keySet, frame }: RoundReply, nextBytes?: number): Request {
  return {
    method: 'POST',
    path: pathOf(ROUTES.round, { id: inference, round }),
    headers: {
      [CONTENT_TYPE]: BYTES_MEDIA_TYPE,
      [KEY_SET_HEADER]: keySet,
      ...(nextBytes === undefined && { [PREFER_HEADER]: PREFER_MINIMAL }),
    },
    body: frame,
    maxBytes: MAX_JSON_HEADER_BYTES + (nextBytes ?? 0),
    silenceMilliseconds: COMPUTING_MILLISECONDS,
  }
}

/**
 * The request for a round's masked tensor or, with the number after the last round, for the encrypted logits.
 * The server answers when the output exists. The request can be repeated.
 *
 * @param bytes exact size of the frame
 */
export function outputRequest(
  { inference, round, keySet }: Omit<RoundReply, 'frame'>,
  bytes: number,
): Request {
  return {
    method: 'GET',
    path: pathOf(ROUTES.round, { id: inference, round }),
    headers: { [KEY_SET_HEADER]: keySet },
    maxBytes: bytes + MAX_JSON_HEADER_BYTES,
    silenceMilliseconds: COMPUTING_MILLISECONDS,
  }
}

/** The request for the state of an inference. It can be repeated. */
export const progressRequest = ({
  inference,
  keySet,
}: Pick<RoundReply, 'inference' | 'keySet'>): Request => ({
  method: 'GET',
  path: pathOf(ROUTES.inference, { id: inference }),
  headers: { [KEY_SET_HEADER]: keySet },
  maxBytes: MAX_JSON_HEADER_BYTES,
})

/** The request that ends an inference. */
export const cancelRequest = ({ inference, keySet }: Pick<RoundReply, 'inference' | 'keySet'>): Request => ({
  method: 'DELETE',
  path: pathOf(ROUTES.inference, { id: inference }),
  headers: { [KEY_SET_HEADER]: keySet },
})

/**
 * The output that the server has to send next: the masked tensor of a round or, after the last round, the
 * logits.
 */
export interface Expected {
  readonly round: number
  /** Of the model's manifest. */
  readonly rounds: number
  /** Exact size of the frame. */
  readonly bytes: number
}

/**
 * Takes the frame out of an answer. The frame's contents are checked when it is decrypted.
 *
 * @throws TENSOR_MALFORMED when the answer is not in the protocol's binary form, of another size, or not the
 *   expected output: a server must ask for exactly the rounds of its manifest
 */
export function serverFrame({ headers, body }: Answer, expected: Expected): Uint8Array {
  const headerBytes = Number(headers.get(JSON_LENGTH_HEADER))
  const mostBytes = Math.min(body.length, MAX_JSON_HEADER_BYTES)
  if (!Number.isInteger(headerBytes) || headerBytes < 2 || headerBytes > mostBytes) {
    throw malformed('has no valid length of its JSON header')
  }
  const parsed = answerHeaderSchema.safeParse(parseJson(body.subarray(0, headerBytes)))
  if (!parsed.success) throw malformed('has a JSON header of another form')
  requireExpected(parsed.data, expected)
  const frame = body.subarray(headerBytes)
  const announced = parsed.data.outputs[0].parameters.binary_data_size
  if (frame.length !== announced || frame.length !== expected.bytes) {
    throw malformed(`has a frame of ${frame.length} bytes where ${expected.bytes} belong`)
  }
  return frame
}

function requireExpected(answer: AnswerHeader, { round, rounds }: Expected): void {
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
