import { PolyVeilError } from '../../errors/index.ts'
import { randomFiller } from './random.ts'

/**
 * The kernels of `assembly/`, on addresses in the memory they were instantiated with; what each does is said
 * there. Sizes that both sides have to agree on are the module's to say.
 */
export interface Kernels {
  /** Bytes of a chunk of a seed's stream. */
  readonly CHUNK_BYTES: WebAssembly.Global
  /** Bytes of scratch memory that expanding a chunk takes, beside the chunk itself. */
  readonly SCRATCH_BYTES: WebAssembly.Global
  /** Largest coefficient that `binomial` gives, and random bytes that it takes for each. */
  readonly BINOMIAL_BOUND: WebAssembly.Global
  readonly BINOMIAL_BYTES: WebAssembly.Global
  /** Random bytes that `ternary` takes beside one for each coefficient. */
  readonly TERNARY_RESERVE: WebAssembly.Global
  /** Random bytes that `residues` takes for each residue, and beside them. */
  readonly RESIDUE_BYTES: WebAssembly.Global
  readonly RESIDUE_RESERVE: WebAssembly.Global
  /**
   * Residues that `dot` works on at a time: ranges are multiples of it, and no block of equal weights is
   * shorter.
   */
  readonly DOT_GRANULE: WebAssembly.Global
  /** Bytes that `unpack` may read behind the packed residues. */
  readonly UNPACK_SLACK: WebAssembly.Global
  add: Kernel
  addBlocks: Kernel
  binomial: Kernel
  clear: Kernel
  copy: Kernel
  dot: Kernel
  dotPermuted: Kernel
  exactQuotients: Kernel
  expand: Kernel
  expandDoubles: Kernel
  multiplyPairs: Kernel
  nttForward: Kernel
  nttInverse: Kernel
  pack: Kernel
  permute: Kernel
  quotients: Kernel
  /** Not compiled, but the platform's: see `randomFiller`. */
  random: Kernel
  reduce: Kernel
  reduceDoubles: Kernel
  residues: Kernel
  scale: Kernel
  scatter: Kernel
  streamChunk: Kernel
  subtract: Kernel
  subtractScale: Kernel
  ternary: Kernel
  uniform: Kernel
  uniformNoted: Kernel
  unpack: Kernel
  unpackNoted: Kernel
}

type Kernel = (...args: number[]) => number

/**
 * The two builds of the module: on a memory that threads share, and on one that has a single thread. Browsers
 * give shared memory to cross-origin isolated pages alone, and the types of memory and module have to agree.
 */
export type MemorySharing = 'shared' | 'unshared'

/** The most that 32-bit addresses reach. */
const MAX_PAGES = 65536

// Written out, so that bundlers see which files go with this module.
const FILES: Readonly<Record<MemorySharing, URL>> = {
  shared: new URL('./build/kernels-shared.wasm', import.meta.url),
  unshared: new URL('./build/kernels.wasm', import.meta.url),
}

const compiled = new Map<MemorySharing, Promise<WebAssembly.Module>>()

/**
 * The compiled module, which threads can be given.
 *
 * @throws INTERNAL when the file of the kernels is not where it belongs
 */
export function kernelModule(sharing: MemorySharing = 'shared'): Promise<WebAssembly.Module> {
  const known = compiled.get(sharing)
  if (known) return known
  const module = readModule(FILES[sharing]).then((bytes) => WebAssembly.compile(bytes))
  compiled.set(sharing, module)
  // A browser may have been without a network.
  module.catch(() => compiled.delete(sharing))
  return module
}

/** An empty memory; it grows in pages of 64 KB. */
export const createKernelMemory = (sharing: MemorySharing = 'shared'): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES, shared: sharing === 'shared' })

/** The kernels on a memory. Instances on one memory have no state of their own. */
export async function instantiateKernels(
  memory: WebAssembly.Memory,
  module?: WebAssembly.Module,
): Promise<Kernels> {
  const instance = await WebAssembly.instantiate(module ?? (await kernelModule(sharingOf(memory))), {
    env: { memory },
  })
  return { ...(instance.exports as unknown as Kernels), random: randomFiller(memory) }
}

const sharingOf = ({ buffer }: WebAssembly.Memory): MemorySharing =>
  buffer instanceof ArrayBuffer ? 'unshared' : 'shared'

async function readModule(url: URL): Promise<BufferSource> {
  try {
    if (url.protocol !== 'file:') return await download(url)
    const { readFile } = await import('./read-file.ts')
    return await readFile(url)
  } catch (cause) {
    const file = url.pathname.split('/').at(-1)
    throw new PolyVeilError(
      'INTERNAL',
      `The kernels cannot be loaded: there is no ${file}`,
      { file },
      { cause },
    )
  }
}

async function download(url: URL): Promise<ArrayBuffer> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`HTTP status ${response.status}`)
  return response.arrayBuffer()
}
