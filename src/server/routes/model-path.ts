import type { ModelCatalogue, ServedModel } from '../models/catalogue.ts'

/** Parameters of the path to a model. The version is there below `/versions/{version}`. */
export interface ModelPath {
  readonly model: string
  readonly version?: string
}

/** The model that a path names. @throws MODEL_UNKNOWN */
export const modelAt = (models: ModelCatalogue, { model, version }: ModelPath): ServedModel =>
  models.get(model, version)
