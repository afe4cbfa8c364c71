import { bytesToHex } from '@noble/hashes/utils.js'
import { circuitPieces } from '../../circuit/format/file.ts'
import {
  type CircuitOutline,
  type Manifest,
  manifestOfOutline,
  outlineOf,
} from '../../circuit/manifest/manifest.ts'
import { isModelName } from '../../circuit/manifest/model-name.ts'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { querySpec, refreshedSpec, responseSpec, tensorBytes } from '../../wire/index.ts'
import { gone, HttpError } from '../problems/http-error.ts'
import type { HeldFile } from './held-file.ts'

/**
 * A model as the routes see it: its manifest, its sizes and the place of its circuit. It holds no weights.
 */
export interface ServedModel {
  readonly name: string
  /** From 1 on. */
  readonly version: number
  readonly manifest: Manifest
  /**
   * Digest of the circuit's file, in hex. It identifies the circuit: circuits with other weights can have the
   * same manifest.
   */
  readonly digest: string
  readonly parameters: CkksParameters
  /** The circuit's file; only workers read it. */
  readonly path: string
  /** The same file, held open: an inference that has begun reads it although the path has another file. */
  readonly file?: HeldFile
  /** Engine memory for one client's keys, the circuit and a run, by the compiler's estimate. */
  readonly memoryBytes: number
  /** Exact size of an encrypted image in bytes. */
  readonly queryBytes: number
  /** Exact size of the encrypted logits in bytes. */
  readonly responseBytes: number
  /** Exact size of the answer to each refresh round in bytes. */
  readonly refreshedBytes: readonly number[]
}

/** A circuit file that is left out. */
export interface LeftOutFile {
  /** Its path within the models directory, with slashes. */
  readonly file: string
  /** The model and the version that it is, or by its name should be. */
  readonly name: string
  readonly version?: number
  /** Why; without the path. */
  readonly error: PolyVeilError
}

/** Whether a model takes inferences; the reasons name what is wrong with its files. */
export interface Readiness {
  readonly ready: boolean
  readonly reasons: readonly string[]
}

/** What has been served before under a name. */
interface Past {
  /** Digests of manifests. */
  readonly manifests: Set<string>
  queryBytes: number
}

/** The models that a server offers, by name and version. `replace` exchanges all of them at once. */
export class ModelCatalogue {
  /** The versions of each name, the highest first. */
  #models: ReadonlyMap<string, readonly ServedModel[]> = new Map()
  #leftOut: readonly LeftOutFile[] = []
  readonly #past = new Map<string, Past>()
  /** Parameters that were served, and names of the models that had them, by digest. */
  readonly #parameters = new Map<string, { parameters: CkksParameters; readonly models: Set<string> }>()
  #largestReply = 1

  /**
   * @throws CONFIG_INVALID when two models have one name and version, or a name does not fit into a URL
   */
  constructor(models: readonly ServedModel[], leftOut: readonly LeftOutFile[] = []) {
    for (const model of models) {
      const unfit = unfitName(model.name)
      if (unfit) throw unfit
      const first = models.find(({ name, version }) => name === model.name && version === model.version)
      if (first !== model) throw duplicate(model, first!.path)
    }
    this.replace(models, leftOut)
  }

  /** @param models of fit names, one of each name and version */
  replace(models: readonly ServedModel[], leftOut: readonly LeftOutFile[]): void {
    const sorted = models.toSorted((a, b) => b.version - a.version)
    this.#models = new Map(models.map(({ name }) => [name, sorted.filter((model) => model.name === name)]))
    this.#leftOut = leftOut
    for (const model of models) this.#note(model)
  }

  #note({ name, manifest, parameters, queryBytes, refreshedBytes }: ServedModel): void {
    const known = this.#parameters.get(parameters.digest) ?? { parameters, models: new Set() }
    known.models.add(name)
    this.#parameters.set(parameters.digest, known)
    const past = this.#past.get(name) ?? { manifests: new Set(), queryBytes: 0 }
    past.manifests.add(manifest.digest)
    past.queryBytes = Math.max(past.queryBytes, queryBytes)
    this.#past.set(name, past)
    this.#largestReply = Math.max(this.#largestReply, ...refreshedBytes)
  }

  /** The default version of each model. */
  get all(): readonly ServedModel[] {
    return [...this.#models.values()].map(([model]) => model)
  }

  /** Every version of every model. */
  get versions(): readonly ServedModel[] {
    return [...this.#models.values()].flat()
  }

  get leftOut(): readonly LeftOutFile[] {
    return this.#leftOut
  }

  /**
   * The largest query in bytes that a client of this model may send, also one that has an older manifest.
   */
  largestQuery(name: string): number {
    return this.#past.get(name)?.queryBytes ?? 0
  }

  /** The largest answer to a refresh round in bytes, also of circuits that are retired. */
  get largestReply(): number {
    return this.#largestReply
  }

  /** The versions of a model, ascending. @throws as `get` */
  versionsOf(name: string): readonly number[] {
    this.get(name)
    return this.#models
      .get(name)!
      .map(({ version }) => version)
      .reverse()
  }

  /**
   * @param version the highest that is served, where absent
   * @throws MODEL_UNKNOWN, with status 410 when it was served before; MODEL_UNAVAILABLE when its file cannot
   *   be used
   */
  get(name: string, version?: string): ServedModel {
    const versions = this.#models.get(name) ?? []
    const model = versions.find((each) => version === undefined || String(each.version) === version)
    if (model) return model
    const [leftOut] = this.#leftOutOf(name, version)
    if (leftOut) throw unavailable(leftOut)
    if (versions.length > 0) throw unknownVersion(versions)
    if (this.#past.has(name)) throw retired()
    throw unknownModel([...this.#models.keys()])
  }

  /**
   * The model that a query was encrypted for: the asked one, or another version of the same name. A client
   * whose manifest is that of an older version is served on while that version is.
   *
   * @param manifestDigest that the query names
   * @param version where the client asked for one: only this version is taken
   * @throws as `get`; PARAMETERS_MISMATCH, with status 410 when a circuit of this manifest was served before
   */
  forQuery(name: string, manifestDigest: string, version?: string): ServedModel {
    const asked = this.get(name, version)
    if (asked.manifest.digest === manifestDigest) return asked
    const others = version === undefined ? this.#models.get(name)! : []
    const other = others.find(({ manifest }) => manifest.digest === manifestDigest)
    if (other) return other
    const facts = { served: asked.manifest.digest }
    if (this.#past.get(name)?.manifests.has(manifestDigest)) {
      const message = 'The query was made for a circuit of this model that is not served any more'
      throw gone('PARAMETERS_MISMATCH', message, facts, { remedy: ANEW_REMEDY })
    }
    throw new PolyVeilError(
      'PARAMETERS_MISMATCH',
      'The query was made for another manifest of this model',
      facts,
    )
  }

  /** @throws MODEL_UNKNOWN when neither the model nor a file of it was ever there */
  readiness(name: string, version?: string): Readiness {
    const reasons = this.#leftOutOf(name, version).map(({ error }) => error.message)
    try {
      this.get(name, version)
      return { ready: true, reasons }
    } catch (error) {
      if (reasons.length > 0) return { ready: false, reasons }
      if (error instanceof HttpError && error.status === 410)
        return { ready: false, reasons: [error.message] }
      throw error
    }
  }

  /**
   * The parameters with this digest.
   *
   * @throws PARAMETERS_MISMATCH when no served model uses them; MODEL_UNAVAILABLE when one did whose file
   *   cannot be used now, such as while it is being written
   */
  parameters(digest: string): CkksParameters {
    const model = this.versions.find(({ parameters }) => parameters.digest === digest)
    if (model) return model.parameters
    const models = this.#parameters.get(digest)?.models
    const leftOut = this.#leftOut.find(({ name }) => models?.has(name))
    if (leftOut) throw unavailable(leftOut)
    throw new PolyVeilError('PARAMETERS_MISMATCH', 'No served model uses these encryption parameters', {
      served: [...new Set(this.versions.map(({ parameters }) => parameters.digest))],
    })
  }

  /**
   * As `parameters`, also when the last circuit with them was retired or is being replaced: a key set that
   * was announced before is good all the same.
   */
  parametersOnce(digest: string): CkksParameters {
    return this.#parameters.get(digest)?.parameters ?? this.parameters(digest)
  }

  #leftOutOf(model: string, asked: string | undefined): readonly LeftOutFile[] {
    return this.#leftOut.filter(
      ({ name, version }) => name === model && (asked === undefined || String(version) === asked),
    )
  }
}

/**
 * The model of a circuit whose file is at `path`.
 *
 * @param place its version, by default 1, and the digest of its file, which is computed where it is absent
 * @throws as `circuitPieces` when the digest is computed
 */
export const servedModel = (
  circuit: Circuit,
  path: string,
  { version = 1, digest = fileDigest(circuit) }: Partial<Pick<ServedModel, 'version' | 'digest'>> = {},
): ServedModel => modelOf(outlineOf(circuit), { path, version, digest })

function fileDigest(circuit: Circuit): string {
  let last = new Uint8Array()
  for (const piece of circuitPieces(circuit)) last = piece
  return bytesToHex(last)
}

/** The model of a circuit's outline. */
export function modelOf(
  outline: CircuitOutline,
  place: Pick<ServedModel, 'path' | 'version' | 'digest' | 'file'>,
): ServedModel {
  const { parameters } = outline
  const manifest = manifestOfOutline(outline)
  return {
    name: outline.model,
    manifest,
    parameters,
    ...place,
    memoryBytes: outline.estimate.memoryBytes,
    queryBytes: tensorBytes(parameters, querySpec(manifest)),
    responseBytes: tensorBytes(parameters, responseSpec(manifest)),
    refreshedBytes: Array.from({ length: manifest.rounds }, (_, round) =>
      tensorBytes(parameters, refreshedSpec(manifest, round)),
    ),
  }
}

/** The error for a name that cannot be a part of a URL; nothing when it can. */
export const unfitName = (name: string): PolyVeilError | undefined =>
  isModelName(name)
    ? undefined
    : new PolyVeilError(
        'CONFIG_INVALID',
        `Model name "${name}" does not fit into a URL`,
        {},
        { remedy: 'Compile it again to a file whose name has letters, digits, dots, - and _ alone.' },
      )

/** The error for a second circuit of one name and version. @param first the circuit that is served */
export const duplicate = ({ name, version }: ServedModel, first: string): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `It is version ${version} of the model ${name}, as ${first} is`,
    {},
    { remedy: 'Keep one of them in the models directory.' },
  )

const ANEW_REMEDY = 'Fetch the manifest again, and encrypt the image for it.'

const unavailable = ({ name, error }: LeftOutFile): PolyVeilError =>
  new PolyVeilError('MODEL_UNAVAILABLE', `The circuit file of model ${name} cannot be used: ${error.message}`)

const retired = (): PolyVeilError =>
  gone(
    'MODEL_UNKNOWN',
    'The model is not served any more',
    {},
    { remedy: 'GET /v2/models lists those that are.' },
  )

const unknownVersion = (versions: readonly ServedModel[]): PolyVeilError =>
  new PolyVeilError(
    'MODEL_UNKNOWN',
    `No such version of the model is served here; there ${versions.length === 1 ? 'is' : 'are'} ${listText(versions.map(({ version }) => String(version)))}`,
    { versions: versions.map(({ version }) => String(version)) },
    { remedy: 'Ask for one of these, or for no version.' },
  )

const unknownModel = (models: readonly string[]): PolyVeilError =>
  new PolyVeilError(
    'MODEL_UNKNOWN',
    models.length === 0
      ? 'No model is served here now'
      : `No model of that name is served here; there ${models.length === 1 ? 'is' : 'are'} ${listText(models)}`,
    { models },
    { remedy: 'Ask for one of these; GET /v2/models describes them.' },
  )

const MOST_LISTED = 20

const listText = (names: readonly string[]): string =>
  names.length > MOST_LISTED
    ? `${names.slice(0, MOST_LISTED).join(', ')} and ${names.length - MOST_LISTED} more`
    : names.join(', ')
