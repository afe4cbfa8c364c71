import type { FastifyRequest } from 'fastify'
import { PolyVeilError } from '../../errors/index.ts'
import { KEY_SET_HEADER } from '../../wire/protocol/index.ts'
import type { HostedInference, InferenceHost } from '../inference/host.ts'
import { nameOf } from '../stores/key-store.ts'

/**
 * The inference in a request's path, if it is one of the key set in the header and of the caller's tenant.
 * Those of others are answered as unknown ones, so that ids cannot be probed.
 *
 * @throws INFERENCE_UNKNOWN
 */
export async function ownInference(host: InferenceHost, request: FastifyRequest): Promise<HostedInference> {
  const inference = await findOwnInference(host, request)
  if (inference) return inference
  throw new PolyVeilError('INFERENCE_UNKNOWN', 'There is no inference of that id')
}

export const findOwnInference = (
  host: InferenceHost,
  request: FastifyRequest,
): Promise<HostedInference | undefined> => host.find(clientOf(request), (request.params as { id: string }).id)

/** Before a header has passed its schema, it may be absent. */
function clientOf({ headers, caller }: FastifyRequest): { tenant?: string; keySet: string } {
  const keySet = headers[KEY_SET_HEADER]
  return { tenant: caller.tenant, keySet: typeof keySet === 'string' ? nameOf(keySet) : '' }
}
