import { link, mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

// Node alone: loaded when it is used, and left out of what is bundled for browsers (`browser` in
// package.json).

/** The contents of a file in a directory; nothing when there is none. */
export async function readIfPresent(directory: string, name: string): Promise<Uint8Array | undefined> {
  try {
    return Uint8Array.from(await readFile(join(directory, name)))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Writes a file as a whole or not at all, in place of the one there may be. */
export async function replaceFile(directory: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = await writeTemporary(directory, name, bytes)
  await rename(temporary, join(directory, name))
}

/**
 * Writes a file as a whole unless there is one, as one step even between processes.
 *
 * @returns the contents of the file that is there afterwards
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
    await unlink(temporary)
  }
}

/** Deletes one file of a directory; does nothing when there is none. */
export async function removeFile(directory: string, name: string): Promise<void> {
  try {
    await unlink(join(directory, name))
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}

/** The names of the files of a directory; none when there is no directory. */
export async function fileNames(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

async function writeTemporary(directory: string, name: string, bytes: Uint8Array): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
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
