// Node's file system by dynamic import, so that the client can be bundled for browsers, which never come here.

const modules = async () => ({
  fs: await import('node:fs/promises'),
  join: (await import('node:path')).join,
})

/** The contents of a file in a directory; nothing when there is none. */
export async function readIfPresent(directory: string, name: string): Promise<Uint8Array | undefined> {
  const { fs, join } = await modules()
  try {
    return Uint8Array.from(await fs.readFile(join(directory, name)))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Writes a file as a whole or not at all, in place of the one there may be. */
export async function replaceFile(directory: string, name: string, bytes: Uint8Array): Promise<void> {
  const { fs, join } = await modules()
  const temporary = await writeTemporary(directory, name, bytes)
  await fs.rename(temporary, join(directory, name))
}

/**
 * Writes a file as a whole unless there is one, as one step even between processes.
 *
 * @returns the contents of the file that is there afterwards
 */
export async function addFile(directory: string, name: string, bytes: Uint8Array): Promise<Uint8Array> {
  const { fs, join } = await modules()
  const temporary = await writeTemporary(directory, name, bytes)
  try {
    await fs.link(temporary, join(directory, name))
    return bytes
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
    return Uint8Array.from(await fs.readFile(join(directory, name)))
  } finally {
    await fs.unlink(temporary)
  }
}

async function writeTemporary(directory: string, name: string, bytes: Uint8Array): Promise<string> {
  const { fs, join } = await modules()
  await fs.mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, `${name}.${crypto.randomUUID()}.part`)
  try {
    await fs.writeFile(path, bytes, { mode: 0o600, flag: 'wx', flush: true })
    return path
  } catch (error) {
    await fs.rm(path, { force: true })
    throw error
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && (error as NodeJS.ErrnoException).code === code
