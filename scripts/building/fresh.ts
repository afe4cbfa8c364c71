import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BUILDING, DIST, KERNEL_BUILD, ROOT, SOURCE } from './paths.ts'

/** Marks the end of a build. */
export const STAMP = join(DIST, '.built')

/**
 * Whether a build of dist finished after the last change of the sources, the build itself and the
 * dependencies.
 */
export async function isFresh(): Promise<boolean> {
  const built = await modified(STAMP)
  if (built === undefined) return false
  const files = (await filesOf(SOURCE)).filter((file) => !`${file}/`.startsWith(KERNEL_BUILD))
  const inputs = [...files, ...(await filesOf(BUILDING)), join(ROOT, 'package-lock.json')]
  const times = await Promise.all(inputs.map(modified))
  return times.every((time) => time !== undefined && time < built)
}

const filesOf = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true })).map((file) => join(folder, file))

const modified = async (path: string): Promise<number | undefined> =>
  (await stat(path).catch(() => undefined))?.mtimeMs
