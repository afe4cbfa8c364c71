import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { isModelName } from '../../circuit/manifest/model-name.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { S3Objects, type S3Options } from './s3-objects.ts'

/** `NAME.pvc` or `NAME/VERSION.pvc`, as in a models directory. */
const CIRCUIT = /^(?:([^/]+)\/)?([^/]+)\.pvc$/

/**
 * A local copy of the circuits in a bucket, for a models directory. A circuit that is replaced or removed
 * there is replaced or removed here at the next look.
 */
export class CircuitMirror {
  readonly #objects: S3Objects
  readonly #directory: string
  /** Marks of the objects whose copies are complete, by key. */
  #copied = new Map<string, string>()

  private constructor(objects: S3Objects, directory: string) {
    this.#objects = objects
    this.#directory = directory
  }

  /**
   * Copies all circuits.
   *
   * @param directory of this process alone; emptied first
   * @throws CONFIG_INVALID as `S3Objects.open`; TOO_BUSY when the bucket cannot be reached
   */
  static async open(options: S3Options, directory: string): Promise<CircuitMirror> {
    const objects = await S3Objects.open(options, { name: 'circuits', missing: gone })
    await rm(directory, { recursive: true, force: true })
    await mkdir(directory, { recursive: true })
    const mirror = new CircuitMirror(objects, directory)
    await mirror.look()
    return mirror
  }

  /** Brings the copy up to date. A circuit that cannot be copied now stays as it was. @throws TOO_BUSY */
  async look(): Promise<void> {
    const listed = (await this.#objects.list()).filter(({ key }) => isCircuit(key))
    for (const { key, mark } of listed) if (this.#copied.get(key) !== mark) await this.#copy(key, mark)
    const keys = new Set(listed.map(({ key }) => key))
    for (const key of [...this.#copied.keys()].filter((each) => !keys.has(each))) await this.#remove(key)
  }

  async #copy(key: string, mark: string): Promise<void> {
    const path = join(this.#directory, key)
    // Hidden files are left out of a models directory.
    const draft = join(this.#directory, `.${key.replaceAll('/', '-')}.part`)
    await mkdir(dirname(path), { recursive: true })
    try {
      await pipeline(this.#objects.get(key), createWriteStream(draft))
      await rename(draft, path)
      this.#copied.set(key, mark)
    } catch (error) {
      await rm(draft, { force: true })
      // Removed since it was listed: the next list does not have it.
      if (!(error instanceof PolyVeilError && error.code === 'MODEL_UNAVAILABLE')) throw error
    }
  }

  async #remove(key: string): Promise<void> {
    this.#copied.delete(key)
    await rm(join(this.#directory, key), { force: true })
  }
}

/** Keys come from the bucket, and become paths. Hidden files are no circuits. */
function isCircuit(key: string): boolean {
  const [, folder, stem] = CIRCUIT.exec(key) ?? []
  const isName = (name: string | undefined): boolean =>
    name !== undefined && isModelName(name) && !name.startsWith('.')
  return isName(stem) && (folder === undefined || isName(folder))
}

const gone = (cause: unknown): PolyVeilError =>
  new PolyVeilError('MODEL_UNAVAILABLE', 'The circuit is not in the bucket any more', {}, { cause })
