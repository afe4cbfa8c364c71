import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { KERNEL_MODULES, KERNEL_SOURCE, ROOT } from './paths.ts'
import { unroll } from './unroll.ts'

// The kernels import their memory, have no data of their own, and allocate nothing.
const OPTIONS = [
  '-O3',
  '--noAssert',
  '--runtime=stub',
  '--enable=simd',
  '--enable=bulk-memory',
  '--importMemory',
  '--initialMemory=1',
  '--maximumMemory=65536',
]
const SHARED_MEMORY = ['--enable=threads', '--sharedMemory']

/**
 * Compiles the kernels from AssemblyScript to WebAssembly, beside their source, once for shared and once for
 * unshared memory.
 */
export async function buildKernels(): Promise<void> {
  await compileKernels(KERNEL_MODULES.shared, [...OPTIONS, ...SHARED_MEMORY])
  await compileKernels(KERNEL_MODULES.unshared, OPTIONS)
}

async function compileKernels(file: string, options: readonly string[]): Promise<void> {
  const { default: asc } = await import('assemblyscript/asc')
  await mkdir(dirname(file), { recursive: true })
  const paths = [relative(ROOT, KERNEL_SOURCE), '--outFile', relative(ROOT, file), '--baseDir', ROOT]
  const { error, stderr } = await asc.main([...paths, ...options], { readFile: readUnrolled })
  if (error) throw new Error(`The kernels do not compile: ${error.message}\n${stderr.toString()}`)
}

/** A source file with its loops unrolled, or null if there is no file: the compiler tries several paths. */
async function readUnrolled(file: string, baseDir: string): Promise<string | null> {
  try {
    return unroll(await readFile(join(baseDir, file), 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
