import type { FastifyReply } from 'fastify'
import { BYTES_MEDIA_TYPE, JSON_LENGTH_HEADER } from '../../wire/protocol/index.ts'
import type { HostedInference } from '../inference/host.ts'
import type { SentAnswer } from '../inference/reply-cache.ts'

/** Sends an output of an inference: a masked tensor, or the logits. */
export function sendOutput(
  reply: FastifyReply,
  inference: Pick<HostedInference, 'onSending'>,
  { jsonBytes, body }: SentAnswer,
): FastifyReply {
  reply.raw.once('close', inference.onSending())
  return reply.type(BYTES_MEDIA_TYPE).header(JSON_LENGTH_HEADER, jsonBytes).send(body)
}
