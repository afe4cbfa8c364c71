import { link, mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

// This module is for Node. It is loaded on first use, and bundles for browsers leave it out (`browser` in
// package.json).

/** The contents of a file in a directory; undefined when it does not exist. */
export async function readIfPresent(directory: string, name: string): Promise<Uint8Array | undefined> {
  try {
    return Uint8Array.from(await readFile(join(directory, name)))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Writes a file atomically; replaces an existing one. */
export async function replaceFile(directory: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = await writeTemporary(directory, name, bytes)
  await rename(temporary, join(directory, name))
}

/**
 * Writes a file atomically, also between processes, unless it exists.
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
    await unlink(temporary)
  }
}

/** Deletes one file of a directory if it exists. */
export async function removeFile(directory: string, name: string): Promise<void> {
  try {
    await unlink(join(directory, name))
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}

/** The names of the files of a directory; empty when the directory does not exist. */
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
