import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { isSystemError, PolyVeilError, refusedFile } from '../../errors/index.ts'
import {
  duplicate,
  type LeftOutFile,
  ModelCatalogue,
  modelOf,
  type ServedModel,
  unfitName,
} from './catalogue.ts'
import { readCheckedOutlineAt, readOutlineFile } from './circuit-file.ts'
import { type CircuitPath, circuitPaths } from './circuit-paths.ts'
import { HeldFile } from './held-file.ts'

type DirectoryLog = Pick<FastifyBaseLogger, 'info' | 'error'>

/** A file as the last look found it. */
interface Found {
  readonly at: CircuitPath
  /** Changes when the file does. */
  readonly mark: string
  readonly outcome: ServedModel | PolyVeilError
  /** The model that it is, as far as that is known. */
  readonly name: string
  /** Whether two looks found the same fault: a file that is being written has another one each time. */
  readonly settled: boolean
}

const SILENT: DirectoryLog = { info() {}, error() {} }

/**
 * The circuits of a directory. Each look at it takes up circuits that are complete, and retires those whose
 * files are gone. A circuit's file stays open until the last inference on it has ended.
 */
export class ModelDirectory {
  readonly models = new ModelCatalogue([])
  readonly #directory: string
  readonly #log: DirectoryLog
  readonly #refresh: () => Promise<void>
  #found: ReadonlyMap<string, Found> = new Map()
  /** Faults that the log has. */
  #told = new Set<string>()
  #looking: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  private constructor(directory: string, log: DirectoryLog, refresh: () => Promise<void>) {
    this.#directory = directory
    this.#log = log
    this.#refresh = refresh
  }

  /**
   * Reads the header of every circuit in a directory and checks the digest of each file. Operations and
   * weights are read by the workers. Files that cannot be served are left out.
   *
   * @param refresh brings the directory up to date before each later look
   * @throws CONFIG_INVALID when the directory cannot be read, or has no circuit that can be served
   */
  static async open(
    directory: string,
    log: DirectoryLog = SILENT,
    refresh: () => Promise<void> = async () => {},
  ): Promise<ModelDirectory> {
    const opened = new ModelDirectory(directory, log, refresh)
    await opened.#look()
    const { models } = opened
    if (models.all.length === 0) throw nothingToServe(directory, models.leftOut)
    opened.#tell(models.leftOut)
    return opened
  }

  /** Looks at the directory now. Errors are logged. */
  look(): Promise<void> {
    this.#looking = this.#looking
      .then(() => this.#refresh())
      .then(() => this.#look())
      .then(() => this.#tellSettled(), this.#failed)
    return this.#looking
  }

  /** Looks at the directory again and again. @param seconds between two looks */
  watch(seconds: number): void {
    let isLooking = false
    this.#timer = setInterval(async () => {
      if (isLooking) return
      isLooking = true
      await this.look()
      isLooking = false
    }, seconds * 1000).unref()
  }

  /** Ends the watch and closes the files. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
    for (const { file } of this.models.versions) file?.close()
  }

  async #look(): Promise<void> {
    const found = new Map<string, Found>()
    for (const at of await circuitPaths(this.#directory)) {
      const file = await this.#find(at, this.#found.get(at.file))
      if (file) found.set(at.file, file)
    }
    const before = [...this.#found.values()]
    this.#found = found
    const { models, leftOut } = sorted([...found.values()])
    const replaced = this.models.versions
    this.models.replace(models, leftOut)
    this.#tellChanges(replaced)
    const kept = new Set([...found.values()].map(({ outcome }) => outcome))
    for (const { outcome } of before)
      if (!kept.has(outcome) && !(outcome instanceof Error)) outcome.file?.close()
  }

  /** @returns undefined when the file has gone since its directory was read */
  async #find(at: CircuitPath, before: Found | undefined): Promise<Found | undefined> {
    const mark = await markOf(at.path)
    if (mark === undefined) return undefined
    const isSame = before?.mark === mark
    if (before && isSame && (before.settled || !(before.outcome instanceof Error))) return before
    const outcome = await modelAt(at).catch(withoutPath)
    const name = outcome instanceof Error ? await nameOf(at, before) : outcome.name
    return { at, mark, name, settled: isSame, outcome }
  }

  #tellChanges(before: readonly ServedModel[]): void {
    const now = this.models.versions
    const added = now.filter(({ digest }) => !before.some((model) => model.digest === digest))
    const gone = before.filter(({ digest }) => !now.some((model) => model.digest === digest))
    for (const model of added) this.#log.info(described(model), 'A circuit is served')
    for (const model of gone) this.#log.info(described(model), 'A circuit is retired')
  }

  #tellSettled(): void {
    const settled = new Set([...this.#found.values()].filter((each) => each.settled).map(({ at }) => at.file))
    // A duplicate is no fault of the file itself.
    const isWhole = ({ file }: LeftOutFile): boolean => !(this.#found.get(file)?.outcome instanceof Error)
    this.#tell(this.models.leftOut.filter((each) => settled.has(each.file) || isWhole(each)))
  }

  /** Logs each fault once. */
  #tell(leftOut: readonly LeftOutFile[]): void {
    const told = new Set<string>()
    for (const { file, name, version, error } of leftOut) {
      const fault = `${file}: ${error.message}`
      told.add(fault)
      if (this.#told.has(fault)) continue
      this.#log.error({ file, model: name, version, reason: error.message }, 'A circuit file is left out')
    }
    this.#told = told
  }

  /** What is served stays, such as while a network file system is away. */
  readonly #failed = (err: unknown): void => {
    const fault = String(err)
    if (!this.#told.has(fault)) this.#log.error({ err }, 'The models directory cannot be read')
    this.#told.add(fault)
  }
}

/**
 * Reads the circuits of a directory once. @throws as `ModelDirectory.open`
 */
export async function loadCatalogue(directory: string): Promise<ModelCatalogue> {
  const opened = await ModelDirectory.open(directory)
  await opened.close()
  return opened.models
}

/** A mark that changes when the file is written to or replaced; undefined when there is none. */
async function markOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join()
  } catch (error) {
    if (!isSystemError(error)) throw error
    return error.code === 'ENOENT' ? undefined : error.code
  }
}

async function modelAt({ path, folder, version }: CircuitPath): Promise<ServedModel> {
  if (version === undefined) throw noVersion()
  const file = new HeldFile(path)
  try {
    const { outline, digest } = await readCheckedOutlineAt({ path, descriptor: file.descriptor })
    const unfit = unfitName(outline.model)
    if (unfit) throw unfit
    if (folder !== undefined && outline.model !== folder) throw otherModel(outline.model, folder)
    return modelOf(outline, { path, version, digest, file })
  } catch (error) {
    file.close()
    throw error
  }
}

const noVersion = (): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    'Its name is no version',
    {},
    { remedy: 'Circuits in a folder have whole numbers as names: 1.pvc, 2.pvc.' },
  )

const otherModel = (model: string, folder: string): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `It is a circuit of the model ${model}, and lies in the folder of ${folder}`,
    {},
    { remedy: 'Move it to the folder that has the name of its model.' },
  )

/**
 * The model that a file which cannot be served should be: by its header, by the last look, or by its name.
 */
async function nameOf({ path, folder, stem }: CircuitPath, before: Found | undefined): Promise<string> {
  if (folder !== undefined) return folder
  const header = await readOutlineFile(path).catch(() => undefined)
  return header?.outline.model ?? before?.name ?? stem
}

/** The error of a file without its path, which clients must not see. */
const withoutPath = (error: unknown): PolyVeilError =>
  error instanceof PolyVeilError ? error : refusedFile({ name: 'It' }, error)

/**
 * Models to serve, and files that are left out because of faults or of an earlier file of the same version.
 */
function sorted(found: readonly Found[]): { models: ServedModel[]; leftOut: LeftOutFile[] } {
  const models: ServedModel[] = []
  const leftOut: LeftOutFile[] = []
  const files = new Map<string, string>()
  for (const { at, name, outcome } of found) {
    if (outcome instanceof Error) {
      leftOut.push({ file: at.file, name, version: at.version, error: outcome })
      continue
    }
    const key = `${outcome.name}/${outcome.version}`
    const first = files.get(key)
    if (first !== undefined) {
      leftOut.push({ file: at.file, name, version: outcome.version, error: duplicate(outcome, first) })
      continue
    }
    files.set(key, at.file)
    models.push(outcome)
  }
  return { models, leftOut }
}

const described = ({ name, version, digest }: ServedModel): object => ({
  model: name,
  version,
  digest: digest.slice(0, 16),
})

const BROKEN_REMEDY = 'Make it anew with polyveil compile, or take it out of the models directory.'

function nothingToServe(directory: string, leftOut: readonly LeftOutFile[]): PolyVeilError {
  if (leftOut.length === 0) {
    const remedy = 'Make one with polyveil compile, or name another directory.'
    return new PolyVeilError(
      'CONFIG_INVALID',
      `The models directory ${directory} holds no circuit (*.pvc)`,
      {},
      { remedy },
    )
  }
  const faults = leftOut.map(({ file, error }) => `The circuit ${join(directory, file)}: ${error.message}`)
  const [{ error }] = leftOut
  const isUsual = error.remedy === error.entry.remedy || leftOut.length > 1
  const remedy = isUsual ? BROKEN_REMEDY : error.remedy
  const files = leftOut.map(({ file }) => file)
  return new PolyVeilError('CONFIG_INVALID', faults.join('. '), { files }, { remedy })
}
