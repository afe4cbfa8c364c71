import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { FLOODING_KEY_BYTES, newFloodingKey } from '../../he-ops/flooding.ts'

const FILE = 'flooding.key'

/**
 * The service's secret key for the flooding noise of answers. The first start makes it, and it stays: under
 * another key a repeated query would get other noise.
 *
 * @param directory the data directory of the service; made when it does not exist
 * @throws CONFIG_INVALID when the file cannot be read or written, or has another length
 */
export async function loadFloodingKey(directory: string): Promise<Uint8Array> {
  const path = join(directory, FILE)
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const key = (await read(path)) ?? (await create(path))
    if (key.length === FLOODING_KEY_BYTES) return key
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === undefined) throw cause
    throw new PolyVeilError('CONFIG_INVALID', `The flooding key ${path} cannot be read or made (${code})`, {
      path,
    })
  }
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `${path} is not the flooding key that the service has written: it must have ${FLOODING_KEY_BYTES} bytes. Restore it ` +
      'from a backup; or delete it, and a new one is made',
    { path },
  )
}

async function read(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Creates the file atomically. When two services start at once, the second takes the key of the first.
 */
async function create(path: string): Promise<Uint8Array> {
  const draft = `${path}.${randomUUID()}.part`
  await writeFile(draft, newFloodingKey(), { mode: 0o600, flush: true })
  try {
    await link(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
  return (await read(path)) ?? new Uint8Array()
}
