import { chmod, rm, writeFile } from 'node:fs/promises'
import { compileZoo } from './compile-zoo.ts'
import { copyKernels, copyZoo } from './copy-data.ts'
import { emitJavaScript } from './emit.ts'
import { isFresh, STAMP } from './fresh.ts'
import { buildKernels } from './kernels.ts'
import { CLI, DIST } from './paths.ts'

/** Called with one line for each step. */
export type Say = (line: string) => void

/** Makes all of dist: the kernels, the JavaScript, the bundled networks' data, their circuits. */
export async function build(say: Say): Promise<void> {
  await rm(DIST, { recursive: true, force: true })
  say('build: kernels')
  await buildKernels()
  say('build: TypeScript')
  await emitJavaScript()
  await chmod(CLI, 0o755)
  await copyKernels()
  await copyZoo()
  await compileZoo(say)
  // Last, so that an interrupted build is not taken for a finished one.
  await writeFile(STAMP, '')
}

/** Builds unless a finished build is newer than every source. */
export async function buildIfStale(say: Say): Promise<void> {
  if (!(await isFresh())) await build(say)
}
