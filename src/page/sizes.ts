import type { Manifest } from '../circuit/manifest/manifest.ts'
import { checkParameters } from '../circuit/parameters/parameters.ts'
import { DEFAULT_LIMITS, type ModelSizes, modelSizes } from '../client/local/limits.ts'

/** The sizes of a model's keys, query and answer. @throws TOO_LARGE beyond the client's limits */
export const sizesOf = (manifest: Manifest): ModelSizes =>
  modelSizes(manifest, checkParameters(manifest.parameters), DEFAULT_LIMITS)
