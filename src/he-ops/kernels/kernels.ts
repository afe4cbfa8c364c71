/**
 * The kernels of `assembly/`, on addresses in the memory they were instantiated with; what each does is said there. Sizes
 * that both sides have to agree on are the module's to say.
 */
export interface Kernels {
  /** Bytes of a chunk of a seed's stream. */
  readonly CHUNK_BYTES: WebAssembly.Global
  /** Bytes of scratch memory that expanding a chunk takes, beside the chunk itself. */
  readonly SCRATCH_BYTES: WebAssembly.Global
  /** Residues that `dot` works on at a time: ranges are multiples of it, and no block of equal weights is shorter. */
  readonly DOT_GRANULE: WebAssembly.Global
  /** Bytes that `unpack` may read behind the packed residues. */
  readonly UNPACK_SLACK: WebAssembly.Global
  add: Kernel
  addBlocks: Kernel
  copy: Kernel
  dot: Kernel
  multiplyPairs: Kernel
  nttForward: Kernel
  nttInverse: Kernel
  pack: Kernel
  permute: Kernel
  quotients: Kernel
  reduceDoubles: Kernel
  scale: Kernel
  streamChunk: Kernel
  subtract: Kernel
  subtractScale: Kernel
  uniform: Kernel
  unpack: Kernel
}

type Kernel = (...args: number[]) => number

const PAGE_BYTES = 65536
/** The most that 32-bit addresses reach. */
const MAX_PAGES = 65536

let compiled: Promise<WebAssembly.Module> | undefined

/** The compiled module, which threads can be given. */
export function kernelModule(): Promise<WebAssembly.Module> {
  compiled ??= readModule().then((bytes) => WebAssembly.compile(bytes))
  return compiled
}

/** An empty memory that several threads can share; it grows in pages of 64 KB. */
export const createKernelMemory = (bytes = PAGE_BYTES): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE_BYTES), maximum: MAX_PAGES, shared: true })

/** The kernels on a memory. Instances on one memory have no state of their own. */
export async function instantiateKernels(
  memory: WebAssembly.Memory,
  module?: WebAssembly.Module,
): Promise<Kernels> {
  const instance = await WebAssembly.instantiate(module ?? (await kernelModule()), { env: { memory } })
  return instance.exports as unknown as Kernels
}

async function readModule(): Promise<BufferSource> {
  const url = new URL('./build/kernels.wasm', import.meta.url)
  if (url.protocol !== 'file:') return (await fetch(url)).arrayBuffer()
  const { readFile } = await import('node:fs/promises')
  return readFile(url)
}
