import { link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

// This module is for Node. The client loads it on first use, and bundles for browsers leave it out (`browser`
// in package.json).

/** The contents of a file in a directory; undefined when it does not exist. */
export async function readIfPresent(directory: string, name: string): Promise<Uint8Array | undefined> {
  try {
    return Uint8Array.from(await readFile(join(directory, name)))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Makes a directory that only its owner may use, unless it exists. */
export async function makeDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
}

/** Writes a file atomically; replaces an existing one. The directory must exist. */
export async function replaceFile(directory: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = await writeTemporary(directory, name, bytes)
  await rename(temporary, join(directory, name))
}

/**
 * Writes a file atomically, also between processes, unless it exists. The directory must exist, and its file
 * system must have hard links.
 *
 * @returns the contents of the file afterwards
 */
export async function addFile(directory: string, name: string, bytes: Uint8Array): Promise<Uint8Array> {
  const temporary = await writeTemporary(directory, name, bytes)
  try {
    await link(temporary, join(directory, name))
    return bytes
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
    return Uint8Array.from(await readFile(join(directory, name)))
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Deletes one file of a directory if it exists. */
export async function removeFile(directory: string, name: string): Promise<void> {
  await rm(join(directory, name), { force: true })
}

/** The names of the files of a directory, links included; empty when the directory does not exist. */
export async function fileNames(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true })
    return entries.filter((entry) => entry.isFile() || entry.isSymbolicLink()).map(({ name }) => name)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

/** Temporary files are named after the file that they become. */
const TEMPORARY = /^(.+)\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.part$/
/** After this time no process writes a temporary file any more. */
const ABANDONED_MILLISECONDS = 3_600_000

/**
 * Deletes temporary files that a crash has left in a directory: those with a second name, whose file is
 * complete, and old ones. Failures are ignored, since the next call tries again.
 *
 * @param isOwn whether the name of a file is one that the caller gives; other temporary files stay
 */
export async function removeAbandoned(directory: string, isOwn: (name: string) => boolean): Promise<void> {
  for (const name of await fileNames(directory)) {
    const becomes = TEMPORARY.exec(name)?.[1]
    if (becomes === undefined || !isOwn(becomes)) continue
    const path = join(directory, name)
    const found = await stat(path).catch(() => undefined)
    if (found === undefined) continue
    const isAbandoned = found.nlink > 1 || Date.now() - found.mtimeMs > ABANDONED_MILLISECONDS
    if (isAbandoned) await rm(path, { force: true }).catch(() => {})
  }
}

async function writeTemporary(directory: string, name: string, bytes: Uint8Array): Promise<string> {
  const path = join(directory, `${name}.${crypto.randomUUID()}.part`)
  try {
    await writeFile(path, bytes, { mode: 0o600, flag: 'wx', flush: true })
    return path
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && (error as NodeJS.ErrnoException).code === code
