import * as z from 'zod'
import { MAX_KEY_SET_ID } from './limits.ts'

// JSON documents at the beginning of binary bodies, as the Open Inference Protocol names their members.

/** Datatype of a tensor whose bytes are a frame. */
export const BINARY_DATATYPE = 'BYTES'

/** Id that a client gives an inference, to watch, answer and cancel it. */
export const INFERENCE_ID = /^[A-Za-z0-9_-]{1,64}$/

const frameSize = z.int().nonnegative().describe('The number of bytes of the frame')

/** Names of the two documents below in the OpenAPI document. */
export const QUERY_HEADER_NAME = 'InferenceRequestHeader'
export const ANSWER_HEADER_NAME = 'InferenceResponseHeader'

/** JSON document of `POST /v2/models/:model/infer`; the frame of the encrypted image follows. */
export const queryHeaderSchema = z
  .object({
    id: z.string().regex(INFERENCE_ID, 'must have 1 to 64 letters, digits, - or _').optional(),
    parameters: z.object({
      key_set: z.string().max(MAX_KEY_SET_ID).describe('The id of the key set').meta({ format: 'password' }),
      manifest_digest: z
        .string()
        .max(64)
        .describe('The digest of the manifest that the image was encrypted for'),
    }),
    inputs: z.tuple([
      z.object({
        name: z.literal('image'),
        datatype: z.literal(BINARY_DATATYPE),
        shape: z.tuple([z.literal(1)]),
        parameters: z.object({ binary_data_size: frameSize }),
      }),
    ]),
    outputs: z
      .array(z.object({ name: z.literal('logits') }))
      .optional()
      .describe('The outputs that the client asks for; there is one, which it gets in any case'),
  })
  .meta({ id: QUERY_HEADER_NAME, description: 'The JSON document that a query begins with' })
export type QueryHeader = z.infer<typeof queryHeaderSchema>

const output = <Name extends string>(name: Name) =>
  z.tuple([
    z.looseObject({
      name: z.literal(name),
      datatype: z.literal(BINARY_DATATYPE),
      parameters: z.looseObject({ binary_data_size: z.int().nonnegative() }),
    }),
  ])

const identity = {
  model_name: z.string().describe('The model that computed it'),
  model_version: z.string().optional().describe('The version of the model'),
  id: z
    .string()
    .describe('The id of the inference: the one of the query, or else the one that the server chose'),
}

/**
 * JSON document that answers a query or a refresh round: the frame of the encrypted logits follows, or that
 * of a masked tensor.
 */
export const answerHeaderSchema = z
  .union([
    z.looseObject({ ...identity, outputs: output('logits') }),
    z.looseObject({
      ...identity,
      parameters: z.looseObject({ state: z.literal('refresh'), round: z.int(), rounds: z.int() }),
      outputs: output('refresh'),
    }),
  ])
  .meta({ id: ANSWER_HEADER_NAME, description: 'The JSON document that an answer begins with' })
export type AnswerHeader = z.infer<typeof answerHeaderSchema>
