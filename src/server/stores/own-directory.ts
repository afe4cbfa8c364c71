import type { Dirent } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { removeAbandoned, replaceFile } from '../../files/atomic.ts'
import type { StoreLog } from './store-log.ts'

/**
 * The file that marks a directory as the store's own. Without it the store must not delete anything there.
 */
const MARKER = 'polyveil-key-sets.json'
const MARK = '{"format":"polyveil-key-sets-1"}\n'

/**
 * Makes a directory, or opens one that is empty, has the marker, or has only files of an older version of the
 * store: files of the store's names and content. Other programs may use the same names, and their files are
 * left alone.
 *
 * @param isOwn whether a name is one that the store gives its files
 * @param isContentOwn whether these files of a directory without a marker have the store's content
 * @throws CONFIG_INVALID when the directory cannot be made or used, or has other files and no marker
 */
export async function openOwnDirectory(
  directory: string,
  isOwn: (file: string) => boolean,
  isContentOwn: (files: readonly string[]) => Promise<boolean>,
  log: StoreLog,
): Promise<void> {
  const entries = await madeDirectory(directory)
  const marker = entries.find(({ name }) => name === MARKER)
  if (marker) return requireMark(directory)
  const foreign = entries.filter((entry) => !(entry.isFile() && isOwn(entry.name)))
  if (foreign.length > 0) throw notOurs(directory, foreign)
  const files = entries.map(({ name }) => name)
  if (files.length > 0 && !(await unlessRefused(directory, () => isContentOwn(files)))) {
    throw notOurs(directory, entries)
  }
  await unlessRefused(directory, () => replaceFile(directory, MARKER, new TextEncoder().encode(MARK)))
  if (entries.length > 0) {
    log.info(
      { directory, files: entries.length },
      'Took over a directory of key sets that an older version made',
    )
  }
}

/** The files of the store in its directory. Other entries are logged and stay untouched. */
export async function ownFiles(
  directory: string,
  isOwn: (file: string) => boolean,
  log: StoreLog,
): Promise<string[]> {
  const entries = await unlessRefused(directory, () => readdir(directory, { withFileTypes: true }))
  const own = entries.filter((entry) => entry.isFile() && isOwn(entry.name))
  const foreign = entries.filter((entry) => entry.name !== MARKER && !own.includes(entry))
  if (foreign.length > 0) {
    log.warn(
      { directory, ...shown(foreign) },
      'The directory of key sets holds other things; they are left alone',
    )
  }
  return own.map(({ name }) => name)
}

async function madeDirectory(directory: string): Promise<Dirent[]> {
  return unlessRefused(directory, async () => {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await removeAbandoned(directory, (name) => name === MARKER)
    return readdir(directory, { withFileTypes: true })
  })
}

async function requireMark(directory: string): Promise<void> {
  const text = await unlessRefused(directory, () => readFile(join(directory, MARKER), 'utf8'))
  if (text.trim() === MARK.trim()) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `The file ${MARKER} in ${directory} is damaged, or of another version; choose another dataDir (POLYVEIL_DATA_DIR)`,
    { directory },
  )
}

async function unlessRefused<T>(directory: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The directory ${directory} for key sets cannot be made, read or written (${code}); check dataDir (POLYVEIL_DATA_DIR)`,
      { directory },
      { cause },
    )
  }
}

const CLIENT_STORE = 'store.json'

function notOurs(directory: string, foreign: readonly Dirent[]): PolyVeilError {
  const what = foreign.some(({ name }) => name === CLIENT_STORE)
    ? "looks like a client's store of secret keys"
    : "holds things that are not this service's"
  const { examples } = shown(foreign)
  return new PolyVeilError(
    'CONFIG_INVALID',
    `The directory ${directory} for key sets ${what} (${examples.join(', ')}). Nothing was changed; choose another ` +
      'dataDir (POLYVEIL_DATA_DIR), or move these things elsewhere',
    { directory, ...shown(foreign) },
  )
}

const MAX_EXAMPLES = 3

const shown = (entries: readonly Dirent[]): { count: number; examples: string[] } => ({
  count: entries.length,
  examples: entries.slice(0, MAX_EXAMPLES).map(({ name }) => name),
})
