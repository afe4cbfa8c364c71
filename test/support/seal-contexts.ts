import type { CkksParameters } from '../../src/circuit/parameters/parameters.ts'
import { createSealContext, type SealContext } from '../../src/he-ops/seal/context.ts'
import { loadSeal } from '../../src/he-ops/seal/runtime.ts'

const contexts = new Map<string, Promise<SealContext>>()

/**
 * The context of node-seal for parameters. A test file makes each one once, because that takes a quarter of a
 * second and more. It lives as long as the process, so no test deletes it.
 */
export function sharedSealContext(parameters: CkksParameters): Promise<SealContext> {
  const made =
    contexts.get(parameters.digest) ?? loadSeal().then((seal) => createSealContext(seal, parameters))
  contexts.set(parameters.digest, made)
  return made
}
