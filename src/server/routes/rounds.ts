import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import type { App, Services } from '../app.ts'
import { LENGTH_HEADER } from '../inference/binary-body.ts'
import type { Inference } from '../inference/inference.ts'
import { nameOf } from '../stores/key-store.ts'
import { asBytes } from './infer.ts'
import { bytesResponse, responses } from './schemas.ts'

/** Names the key set: rounds are answered by the client whose inference it is, and by no other. */
const KEY_SET_HEADER = 'polyveil-key-set'

const headersSchema = z.looseObject({
  [KEY_SET_HEADER]: z.string().min(1).max(128).describe('Id of the key set that the inference began with'),
})
const params = z.object({
  id: z.string().max(64).describe('The id in the answer that asks for the round'),
  round: z.coerce.number().int().nonnegative().max(65_535).describe('The round, from 0 on'),
})

/** The client's answers to refresh rounds. */
export async function roundRoute(app: App, { models, inferences, metrics }: Services): Promise<void> {
  const largest = Math.max(1, ...models.all.flatMap(({ refreshedBytes }) => refreshedBytes))
  app.addContentTypeParser(
    'application/octet-stream',
    { parseAs: 'buffer', bodyLimit: largest },
    (_request, body, done) => done(null, body),
  )
  app.post(
    '/v2/inferences/:id/rounds/:round',
    {
      config: { binaryBody: 'The frame of the refreshed tensor' },
      schema: {
        tags: ['inference'],
        summary: 'Answer a refresh round',
        description:
          'Idempotent: the same body gets the same bytes again. Another body for the round, or another round than the ' +
          'one that waits, is 409.',
        params,
        headers: headersSchema,
        response: responses({
          200: bytesResponse(
            'application/octet-stream',
            'A JSON document, directly followed by the frame of the next masked tensor or of the encrypted logits',
          ),
        }),
      },
      // Before the body is read: nobody uploads megabytes for nothing, and who uploads them is there.
      onRequest: async ({ params, headers }, reply) => {
        const { id } = params as { id: string }
        const inference = inferences.get(id)
        requireOwner(inference, headers[KEY_SET_HEADER])
        reply.raw.once('close', inference.attendance.enter())
      },
    },
    async ({ params: { id, round }, headers, body }, reply) => {
      const inference = inferences.get(id)
      requireOwner(inference, headers[KEY_SET_HEADER])
      const bytes = asBytes(body)
      const repeated = inference.rounds.repeat(round, bytes)
      if (!repeated) requireUnderWay(inference)
      const { jsonBytes, body: answer } = await (repeated ?? inference.rounds.answer(round, bytes))
      if (!repeated) metrics.roundAnswered(inference.model, bytes.length)
      return reply.type('application/octet-stream').header(LENGTH_HEADER, jsonBytes).send(answer)
    },
  )
}

/** Says no more than that there is no such inference. */
function requireOwner({ keySet }: Inference, header: string | string[] | undefined): void {
  if (typeof header === 'string' && nameOf(header) === keySet) return
  throw new PolyVeilError('INFERENCE_UNKNOWN', 'There is no inference of that id')
}

function requireUnderWay({ running }: Inference): void {
  if (running) return
  throw new PolyVeilError('INFERENCE_UNKNOWN', 'The inference has ended')
}
