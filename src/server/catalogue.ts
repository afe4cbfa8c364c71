import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CircuitOutline,
  type Manifest,
  manifestOfOutline,
  outlineOf,
} from '../circuit/manifest/manifest.ts'
import { isModelName } from '../circuit/manifest/model-name.ts'
import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import type { Circuit } from '../circuit/types.ts'
import { inFile, PolyVeilError, refusedFile } from '../errors/index.ts'
import { querySpec, refreshedSpec, responseSpec, tensorBytes } from '../wire/index.ts'
import { readCheckedOutlineFile } from './circuit-file.ts'

/** A model as the routes see it: its manifest, its sizes and the path of its circuit. It holds no weights. */
export interface ServedModel {
  readonly name: string
  readonly manifest: Manifest
  readonly parameters: CkksParameters
  /** The circuit's file; only workers read it. */
  readonly path: string
  /** Exact size of an encrypted image in bytes. */
  readonly queryBytes: number
  /** Exact size of the encrypted logits in bytes. */
  readonly responseBytes: number
  /** Exact size of the answer to each refresh round in bytes. */
  readonly refreshedBytes: readonly number[]
}

/** The models that a server offers, by name. Immutable. */
export class ModelCatalogue {
  readonly #models: ReadonlyMap<string, ServedModel>

  /** @throws CONFIG_INVALID when two models have one name, or a name does not fit into a URL */
  constructor(models: readonly ServedModel[]) {
    this.#models = new Map(models.map((model) => [model.name, model]))
    const unfit = models.find(({ name }) => !isModelName(name))
    if (unfit) throw unfitName(unfit)
    for (const model of models) requireOnly(model, this.#models.get(model.name)!)
  }

  get all(): readonly ServedModel[] {
    return [...this.#models.values()]
  }

  /** @throws MODEL_UNKNOWN */
  get(name: string): ServedModel {
    const model = this.#models.get(name)
    if (model) return model
    const models = [...this.#models.keys()]
    throw new PolyVeilError(
      'MODEL_UNKNOWN',
      `No model of that name is served here; there ${models.length === 1 ? 'is' : 'are'} ${listText(models)}`,
      { models },
      { remedy: 'Ask for one of these; GET /v2/models describes them.' },
    )
  }

  /** The parameters with this digest. @throws PARAMETERS_MISMATCH when no served model uses them */
  parameters(digest: string): CkksParameters {
    const model = this.all.find(({ parameters }) => parameters.digest === digest)
    if (model) return model.parameters
    throw new PolyVeilError('PARAMETERS_MISMATCH', 'No served model uses these encryption parameters', {
      served: [...new Set(this.all.map(({ parameters }) => parameters.digest))],
    })
  }
}

/** The model of a circuit whose file is at `path`. */
export const servedModel = (circuit: Circuit, path: string): ServedModel => modelOf(outlineOf(circuit), path)

function modelOf(outline: CircuitOutline, path: string): ServedModel {
  const { parameters } = outline
  const manifest = manifestOfOutline(outline)
  return {
    name: outline.model,
    manifest,
    parameters,
    path,
    queryBytes: tensorBytes(parameters, querySpec(manifest)),
    responseBytes: tensorBytes(parameters, responseSpec(manifest)),
    refreshedBytes: Array.from({ length: manifest.rounds }, (_, round) =>
      tensorBytes(parameters, refreshedSpec(manifest, round)),
    ),
  }
}

/**
 * Reads the header of every circuit (`*.pvc`) in a directory and checks the digest of each file. Operations
 * and weights are read by the workers.
 *
 * @throws CONFIG_INVALID when the directory cannot be read or holds no circuit, and as
 *   `readCheckedOutlineFile`
 */
export async function loadCatalogue(directory: string): Promise<ModelCatalogue> {
  const files = await circuitFiles(directory)
  const models: ServedModel[] = []
  for (const file of files) {
    const path = join(directory, file)
    models.push(await inFile({ name: `The circuit ${path}`, remedy: BROKEN_REMEDY }, () => modelIn(path)))
  }
  return new ModelCatalogue(models)
}

async function modelIn(path: string): Promise<ServedModel> {
  const { outline } = await readCheckedOutlineFile(path)
  return modelOf(outline, path)
}

async function circuitFiles(directory: string): Promise<string[]> {
  const name = `The models directory ${directory}`
  const names = await readdir(directory).catch((cause) => {
    throw refusedFile({ name }, cause)
  })
  const files = names.filter((file) => file.endsWith('.pvc')).sort()
  if (files.length > 0) return files
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `${name} holds no circuit (*.pvc)`,
    {},
    { remedy: 'Make one with polyveil compile, or name another directory.' },
  )
}

const BROKEN_REMEDY = 'Make it anew with polyveil compile, or take it out of the models directory.'

const unfitName = ({ name, path }: ServedModel): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `Model name "${name}" of ${path} does not fit into a URL`,
    {},
    { remedy: 'Compile it again to a file whose name has letters, digits, dots, - and _ alone.' },
  )

/** @throws CONFIG_INVALID unless the model is the only one of its name */
function requireOnly(model: ServedModel, last: ServedModel): void {
  if (model === last) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `${model.path} and ${last.path} are both of the model ${model.name}`,
    {},
    { remedy: 'Keep one of them in the models directory.' },
  )
}

const MOST_LISTED = 20

const listText = (names: readonly string[]): string =>
  names.length > MOST_LISTED
    ? `${names.slice(0, MOST_LISTED).join(', ')} and ${names.length - MOST_LISTED} more`
    : names.join(', ')
