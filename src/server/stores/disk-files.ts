import * as fileSystem from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { MAX_PART_BYTES } from '../../wire/protocol/index.ts'
import { keepCopy, synchronised } from './kept-copy.ts'
import { type KeptLocation, type KeySetBytes, kept, type Received } from './key-set-bytes.ts'
import { noSuchKeySet } from './key-set-errors.ts'
import type { KeySetRecord } from './key-set-record.ts'
import { openOwnDirectory } from './own-directory.ts'
import type { StorageHealth } from './storage-health.ts'
import { StorageTrouble } from './storage-trouble.ts'
import { NO_LOG } from './store-log.ts'

const BYTES = '.keys'
const OWNER_ONLY = 0o600
const PROBE = 'write-probe'
const PROBE_BYTES = 4096
/** Files of key sets are named by a SHA-256 in hex. The store never deletes files with other names. */
const OWN = /^([0-9a-f]{64}(\.json|\.json\.new|\.keys)|write-probe)$/
/** Unfinished files of a write that broke off: records of an older version, and probes. */
const LEFTOVER = /\.json\.new$|^write-probe$/

/** Whether a file of the directory has a name that the store gives. */
export const isOwn = (file: string): boolean => OWN.test(file)
export const isLeftover = (file: string): boolean => LEFTOVER.test(file)

/** The part of the file system that bytes of key sets are written with. */
export type FileLayer = Pick<
  typeof fileSystem,
  'copyFile' | 'link' | 'open' | 'rm' | 'stat' | 'statfs' | 'truncate' | 'writeFile'
>

/**
 * Bytes of key sets as files `NAME.keys` in a directory of one process. Only the owner can read the files.
 * Files with other names, and directories, stay untouched.
 */
export class DiskFiles implements KeySetBytes {
  readonly #directory: string
  readonly #health: StorageHealth
  readonly #layer: FileLayer

  /** @param directory that a marker file reserves for key sets */
  constructor(directory: string, health: StorageHealth, layer: FileLayer = fileSystem) {
    this.#directory = directory
    this.#health = health
    this.#layer = layer
    health.addProbe(() => probeDirectory(directory, layer))
  }

  async write(name: string, record: KeySetRecord, part: AsyncIterable<Uint8Array>): Promise<Received> {
    const offset = record.uploadOffset
    return this.#health.guard(async () => {
      const file = await this.#open(name, offset)
      try {
        const end = await writeAll(file, offset, part)
        await file.truncate(end)
        await file.sync()
        return { uploadOffset: end }
      } catch (cause) {
        // The upload goes on at its offset; the bytes behind it are in no record's length.
        await file.truncate(offset).catch(() => {})
        throw cause
      } finally {
        await file.close()
      }
    })
  }

  /** @throws KEYS_EXPIRED when the bytes before `offset` are gone; StorageTrouble when the directory is */
  async #open(name: string, offset: number): Promise<fileSystem.FileHandle> {
    try {
      return await this.#layer.open(this.#path(name), offset === 0 ? 'w' : 'r+', OWNER_ONLY)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
      const isThere = await this.#layer.stat(this.#directory).then(
        () => true,
        () => false,
      )
      throw isThere ? noSuchKeySet(cause) : new StorageTrouble('fault', cause)
    }
  }

  async cut(name: string, { uploadOffset }: KeySetRecord): Promise<void> {
    await this.shorten(name, uploadOffset).catch(() => {})
  }

  async remove(name: string): Promise<void> {
    await this.#health.guard(() => this.removeFile(name + BYTES))
  }

  async location(name: string): Promise<KeptLocation> {
    return kept({ path: this.#path(name) })
  }

  /** Cuts off the bytes of a set from `bytes` on. */
  shorten(name: string, bytes: number): Promise<void> {
    return this.#layer.truncate(this.#path(name), bytes)
  }

  /** @param file a name in the directory */
  removeFile(file: string): Promise<void> {
    return this.#layer.rm(join(this.#directory, file), { force: true })
  }

  /**
   * Lengths of the files of bytes, by name of the key set.
   *
   * @param files names in the directory
   */
  async sizes(files: readonly string[]): Promise<Map<string, number>> {
    const sizes = new Map<string, number>()
    for (const file of files.filter((each) => each.endsWith(BYTES))) {
      const { size } = await this.#layer.stat(join(this.#directory, file)).catch((cause) => {
        throw unreadable(file, cause)
      })
      sizes.set(file.slice(0, -BYTES.length), size)
    }
    return sizes
  }

  /**
   * Gives the bytes of complete sets, which do not change any more, a second place in a new directory.
   *
   * @returns names of the sets whose bytes are there: not those that are incomplete, or deleted meanwhile
   */
  async copyTo(directory: string, records: ReadonlyMap<string, KeySetRecord>): Promise<Set<string>> {
    await openOwnDirectory(directory, isOwn, async () => false, NO_LOG)
    const kept = new Set<string>()
    for (const [name, { digest, bytes }] of records) {
      if (digest === undefined) continue
      const to = join(directory, name + BYTES)
      if (!(await keepCopy(this.#path(name), to, this.#layer))) continue
      if ((await this.#layer.stat(to)).size === bytes) kept.add(name)
      else await this.#layer.rm(to, { force: true })
    }
    await synchronised(directory)
    return kept
  }

  #path(name: string): string {
    return join(this.#directory, name + BYTES)
  }
}

/** Fails while nothing can be written to a directory, or there is less room than a part needs. */
export async function probeDirectory(
  directory: string,
  layer: Pick<FileLayer, 'writeFile' | 'rm' | 'statfs'> = fileSystem,
  name = PROBE,
): Promise<void> {
  const path = join(directory, name)
  try {
    await layer.writeFile(path, new Uint8Array(PROBE_BYTES), { mode: OWNER_ONLY, flush: true })
  } finally {
    await layer.rm(path, { force: true })
  }
  const { bavail, bsize } = await layer.statfs(directory)
  if (bavail * bsize < MAX_PART_BYTES) throw new StorageTrouble('full')
}

/** The error for a file that the disk or the permissions do not let this process read. */
export const unreadable = (file: string, cause: NodeJS.ErrnoException): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `A file of the data directory cannot be read (${cause.code}): ${file}`,
    { file },
    { cause },
  )

/** Writes a part to a file from `offset` on. @returns its end */
export async function writeAll(
  file: Pick<fileSystem.FileHandle, 'write'>,
  offset: number,
  part: AsyncIterable<Uint8Array>,
): Promise<number> {
  let end = offset
  for await (const chunk of part) {
    let rest = chunk
    while (rest.length > 0) {
      const { bytesWritten } = await file.write(rest, 0, rest.length, end)
      rest = rest.subarray(bytesWritten)
      end += bytesWritten
    }
  }
  return end
}
