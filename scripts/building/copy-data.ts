import { cp } from 'node:fs/promises'
import { extname, join, relative } from 'node:path'
import { DIST, KERNEL_BUILD, SOURCE } from './paths.ts'

const ZOO = join('models', 'zoo')

/**
 * Copies the files of the bundled networks that the compiler does not emit: weights, descriptions, images.
 */
export async function copyZoo(): Promise<void> {
  await cp(join(SOURCE, ZOO), join(DIST, ZOO), {
    recursive: true,
    filter: (file) => extname(file) !== '.ts',
  })
}

/** Copies the compiled kernels to the place where the compiled program looks for them. */
export async function copyKernels(): Promise<void> {
  await cp(KERNEL_BUILD, join(DIST, relative(SOURCE, KERNEL_BUILD)), { recursive: true })
}
