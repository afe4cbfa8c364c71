import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DIST, KERNEL_BUILD, ROOT, SOURCE } from './paths.ts'

/** Marks the end of a build. */
export const STAMP = join(DIST, '.built')

/** Whether dist was completely built after the last change of a source or of the dependencies. */
export async function isFresh(): Promise<boolean> {
  const built = await modified(STAMP)
  if (built === undefined) return false
  const sources = await readdir(SOURCE, { recursive: true })
  const files = sources
    .map((file) => join(SOURCE, file))
    .filter((file) => !`${file}/`.startsWith(KERNEL_BUILD))
  const inputs = [...files, join(ROOT, 'package-lock.json')]
  const times = await Promise.all(inputs.map(modified))
  return times.every((time) => time !== undefined && time < built)
}

const modified = async (path: string): Promise<number | undefined> =>
  (await stat(path).catch(() => undefined))?.mtimeMs
