import { constants, copyFile, link, open } from 'node:fs/promises'

/** The part of the file system that copies are made with. */
export interface CopyLayer {
  readonly link: typeof link
  readonly copyFile: typeof copyFile
}

/** Errors after which a copy may succeed: another file system, or one without (more) hard links. */
const NO_LINK: readonly string[] = ['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

/**
 * Gives a file that does not change any more a second place: a hard link, or a copy where there can be none.
 *
 * @returns whether the file existed
 */
export async function keepCopy(
  from: string,
  to: string,
  layer: CopyLayer = { link, copyFile },
): Promise<boolean> {
  try {
    await layer.link(from, to)
    return true
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return false
    if (!NO_LINK.includes(code)) throw error
  }
  return durableCopy(from, to, layer)
}

/** Copies a file, and has the disk write it. @returns whether the file existed */
export async function durableCopy(
  from: string,
  to: string,
  layer: Pick<CopyLayer, 'copyFile'> = { copyFile },
): Promise<boolean> {
  try {
    await layer.copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  await synchronised(to)
  return true
}

/** Has the disk write a file, or the names of a directory. */
export async function synchronised(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
