import { mkdir } from 'node:fs/promises'
import { dirname, relative } from 'node:path'
import { KERNEL_MODULE, KERNEL_SOURCE, ROOT } from './paths.ts'

// The kernels address a memory that threads share, have no data of their own and allocate nothing.
const OPTIONS = [
  '-O3',
  '--noAssert',
  '--runtime=stub',
  '--enable=simd',
  '--enable=threads',
  '--enable=bulk-memory',
  '--importMemory',
  '--sharedMemory',
  '--initialMemory=1',
  '--maximumMemory=65536',
]

/** Compiles the kernels from AssemblyScript to WebAssembly, beside their source. */
export async function buildKernels(): Promise<void> {
  const { default: asc } = await import('assemblyscript/asc')
  await mkdir(dirname(KERNEL_MODULE), { recursive: true })
  const paths = [relative(ROOT, KERNEL_SOURCE), '--outFile', relative(ROOT, KERNEL_MODULE), '--baseDir', ROOT]
  const { error, stderr } = await asc.main([...paths, ...OPTIONS])
  if (error) throw new Error(`The kernels do not compile: ${error.message}\n${stderr.toString()}`)
}
