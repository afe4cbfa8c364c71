import * as z from 'zod'
import type { Manifest } from '../circuit/manifest/manifest.ts'
import { PolyVeilError } from '../errors/index.ts'
import { PREFER_ASYNC } from '../wire/protocol/index.ts'
import type { CallOptions } from './progress.ts'
import { cancelRequest, outputRequest, progressRequest, type RoundReply } from './transport/binary-body.ts'
import type { Answer, Transport } from './transport/transport.ts'

/**
 * Models that take longer, by their plan's estimate, are asked with `Prefer: respond-async`. Proxies close
 * connections that are idle for a minute or so, and the server may be slower than the estimate.
 */
const ASYNC_SECONDS = 20
/** Between two looks at the state of an inference, as a share of the estimate; within the limits. */
const POLL_SHARE = 0.02
const LEAST_POLL_SECONDS = 0.5
const MOST_POLL_SECONDS = 5

/** Whether the answer to a query of a model is fetched later. */
export const isAnsweredLater = ({ estimate }: Manifest): boolean => estimate.seconds > ASYNC_SECONDS

type Reference = Pick<RoundReply, 'inference' | 'keySet'>

export interface LaterAnswer extends Reference {
  readonly manifest: Manifest
  /** Exact size of the frame of the first output. */
  readonly bytes: number
}

/**
 * Waits for the first output of an inference that was accepted, without an open connection, and fetches it.
 *
 * @param accepted the answer to the query. A server that answers with the output itself does not know the
 *   preference
 */
export async function laterAnswer(
  transport: Transport,
  accepted: Promise<Answer>,
  later: LaterAnswer,
  options: Pick<CallOptions, 'signal'>,
): Promise<Answer> {
  try {
    const answer = await accepted
    if (answer.headers.get('preference-applied') !== PREFER_ASYNC) return answer
    await untilThere(transport, later, options)
    const { inference, keySet, bytes } = later
    return await transport.sendRepeatable({
      ...outputRequest({ inference, keySet, round: 0 }, bytes),
      ...options,
    })
  } catch (error) {
    // There is no open connection whose end would tell the server that the client has given up.
    await transport.tell(cancelRequest(later))
    throw error
  }
}

const stateSchema = z.looseObject({ state: z.string() })

/** Asks for the state of an inference again and again, until it has an output or has ended. */
async function untilThere(
  transport: Transport,
  { manifest, ...reference }: LaterAnswer,
  options: Pick<CallOptions, 'signal'>,
): Promise<void> {
  const seconds = Math.max(LEAST_POLL_SECONDS, POLL_SHARE * manifest.estimate.seconds)
  for (;;) {
    const answer = await transport.sendRepeatable({ ...progressRequest(reference), ...options })
    if (!COMPUTING.includes(stateOf(answer))) return
    await transport.pause(1000 * Math.min(seconds, MOST_POLL_SECONDS), options)
  }
}

/** States in which there is no first output yet. */
const COMPUTING: readonly string[] = ['waiting', 'running']

function stateOf({ body }: Answer): string {
  try {
    return stateSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))).state
  } catch {
    throw new PolyVeilError('TENSOR_MALFORMED', "The server's word on the inference is no JSON with a state")
  }
}
