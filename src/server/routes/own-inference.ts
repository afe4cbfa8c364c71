import type { FastifyRequest } from 'fastify'
import { KEY_SET_HEADER } from '../../wire/protocol/index.ts'
import type { Inference } from '../inference/inference.ts'
import type { InferenceRegistry } from '../inference/registry.ts'
import { nameOf } from '../stores/key-store.ts'

/**
 * The inference in a request's path, if it is one of the key set in the header and of the caller's tenant.
 * Those of others are answered as unknown ones, so that ids cannot be probed.
 *
 * @throws INFERENCE_UNKNOWN
 */
export const ownInference = (inferences: InferenceRegistry, request: FastifyRequest): Inference =>
  inferences.get(clientOf(request), idOf(request))

export const findOwnInference = (
  inferences: InferenceRegistry,
  request: FastifyRequest,
): Inference | undefined => inferences.find(clientOf(request), idOf(request))

const idOf = ({ params }: FastifyRequest): string => (params as { id: string }).id

/** Before a header has passed its schema, it may be absent. */
function clientOf({ headers, caller }: FastifyRequest): { tenant?: string; keySet: string } {
  const keySet = headers[KEY_SET_HEADER]
  return { tenant: caller.tenant, keySet: typeof keySet === 'string' ? nameOf(keySet) : '' }
}
