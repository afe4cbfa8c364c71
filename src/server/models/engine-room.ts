import { engineNameFor } from '../../schedule/engine-name.ts'
import { insufficientStorage } from '../problems/http-error.ts'
import type { ServedModel } from './catalogue.ts'

type Needs = Pick<ServedModel, 'name' | 'parameters' | 'memoryBytes'>

/**
 * Refuses keys that no model of this service could use, because each one that takes them exceeds an engine's
 * memory. Clients hear it before they make and upload gigabytes.
 *
 * @param models all that are served
 * @param digest of the keys' parameters, which some model has
 * @param engineBytes as in `EngineAccess`
 * @throws HttpError 507 `TOO_LARGE`
 */
export function requireUsable(
  models: readonly Needs[],
  digest: string,
  engineBytes: number | undefined,
): void {
  if (engineBytes === undefined) return
  const taking = models.filter(({ parameters }) => parameters.digest === digest)
  // The engine seal has no limit.
  const isLimited = taking.every(({ parameters }) => engineNameFor(parameters) === 'simd')
  const least = Math.min(...taking.map(({ memoryBytes }) => memoryBytes))
  if (taking.length === 0 || !isLimited || least <= engineBytes) return
  throw insufficientStorage({
    code: 'TOO_LARGE',
    message: `The models for these keys take at least ${least} bytes of engine memory; this server gives its engines ${engineBytes}`,
    facts: { neededBytes: least, limitBytes: engineBytes },
    remedy: 'Raise engineMegabytes on the server, or compile for a smaller input, batch or precision.',
  })
}
