import { chmod, rm, writeFile } from 'node:fs/promises'
import { compileZoo } from './compile-zoo.ts'
import { copyKernels, copyZoo } from './copy-data.ts'
import { emitJavaScript } from './emit.ts'
import { isFresh, STAMP } from './fresh.ts'
import { buildKernels } from './kernels.ts'
import { buildPage } from './page.ts'
import { CLI, DIST } from './paths.ts'

/** Called with a line for each step. */
export type Say = (line: string) => void

/**
 * Makes all of dist: the kernels, the JavaScript, the page, and the data and circuits of the bundled
 * networks.
 */
export async function build(say: Say): Promise<void> {
  await rm(DIST, { recursive: true, force: true })
  say('build: kernels')
  await buildKernels()
  say('build: TypeScript')
  await emitJavaScript()
  await chmod(CLI, 0o755)
  await copyKernels()
  await copyZoo()
  say('build: page')
  await buildPage()
  await compileZoo(say)
  // The mark comes last, so that an interrupted build does not count as finished.
  await writeFile(STAMP, '')
}

/** Builds unless a finished build is newer than all sources. */
export async function buildIfStale(say: Say): Promise<void> {
  if (!(await isFresh())) await build(say)
}
