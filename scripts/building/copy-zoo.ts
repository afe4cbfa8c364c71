import { cp } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { DIST, SOURCE } from './paths.ts'

const ZOO = join('models', 'zoo')

/** Copies what the compiler does not emit of the bundled networks: weights, descriptions, images. */
export async function copyZoo(): Promise<void> {
  await cp(join(SOURCE, ZOO), join(DIST, ZOO), {
    recursive: true,
    filter: (file) => extname(file) !== '.ts',
  })
}
