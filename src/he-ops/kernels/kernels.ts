import { PolyVeilError } from '../../errors/index.ts'
import { FarSource } from './far-source.ts'
import { randomFiller } from './random.ts'

/**
 * The kernels of `assembly/`, whose docstrings describe them. Addresses are in the memory of their instance.
 * The module exports sizes that both sides must agree on.
 */
export interface Kernels {
  /** Bytes of a chunk of a seed's stream. */
  readonly CHUNK_BYTES: WebAssembly.Global
  /** Bytes of scratch memory for expanding a chunk, in addition to the chunk itself. */
  readonly SCRATCH_BYTES: WebAssembly.Global
  /** Largest coefficient of `binomial`, and random bytes that it reads for each. */
  readonly BINOMIAL_BOUND: WebAssembly.Global
  readonly BINOMIAL_BYTES: WebAssembly.Global
  /** Random bytes that `ternary` reads in addition to one for each coefficient. */
  readonly TERNARY_RESERVE: WebAssembly.Global
  /** Random bytes that `residues` reads for each residue, and in addition. */
  readonly RESIDUE_BYTES: WebAssembly.Global
  readonly RESIDUE_RESERVE: WebAssembly.Global
  /** Granule of `dot`: its ranges are multiples of it, and a run of equal weights is at least as long. */
  readonly DOT_GRANULE: WebAssembly.Global
  /** Bytes behind the packed residues that `unpack` may read. */
  readonly UNPACK_SLACK: WebAssembly.Global
  /** What `fetch` copies from. */
  readonly far: FarSource
  add: Kernel
  addBlocks: Kernel
  binomial: Kernel
  clear: Kernel
  copy: Kernel
  dot: Kernel
  dotPermuted: Kernel
  dotShared: Kernel
  exactQuotients: Kernel
  expand: Kernel
  expandDoubles: Kernel
  /** A function of the platform: see `FarSource`. */
  fetch: Kernel
  multiplyPairs: Kernel
  nttForward: Kernel
  nttInverse: Kernel
  pack: Kernel
  permute: Kernel
  quotients: Kernel
  /** A function of the platform: see `randomFiller`. */
  random: Kernel
  reduce: Kernel
  reduceDoubles: Kernel
  reduceMessage: Kernel
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
 * The two builds of the module: for memory that threads share, and for memory of one thread. Memory and
 * module must be of the same kind. Browsers allow shared memory only in cross-origin isolated pages.
 */
export type MemorySharing = 'shared' | 'unshared'

/** The most pages that 32-bit addresses reach. */
export const MAX_PAGES = 65536

// Literal paths, which bundlers can follow.
const FILES: Readonly<Record<MemorySharing, URL>> = {
  shared: new URL('./build/kernels-shared.wasm', import.meta.url),
  unshared: new URL('./build/kernels.wasm', import.meta.url),
}

const compiled = new Map<MemorySharing, Promise<WebAssembly.Module>>()

/**
 * The compiled module, which can be sent to other threads.
 *
 * @throws INTERNAL when the kernels' file is missing; SERVER_UNREACHABLE when a browser cannot fetch it;
 *   CONFIG_INVALID when the platform does not compile it
 */
export function kernelModule(sharing: MemorySharing = 'shared'): Promise<WebAssembly.Module> {
  const known = compiled.get(sharing)
  if (known) return known
  const module = readModule(FILES[sharing]).then(compileModule)
  compiled.set(sharing, module)
  // Try again at the next call: a browser may have been offline.
  module.catch(() => compiled.delete(sharing))
  return module
}

/**
 * An empty memory; it grows in pages of 64 KB.
 *
 * @throws RangeError when the platform refuses one of this maximum
 */
export const createKernelMemory = (
  sharing: MemorySharing = 'shared',
  maximum = MAX_PAGES,
): WebAssembly.Memory => new WebAssembly.Memory({ initial: 1, maximum, shared: sharing === 'shared' })

/** Instantiates the kernels on a memory. Instances have no state of their own. */
export async function instantiateKernels(
  memory: WebAssembly.Memory,
  module?: WebAssembly.Module,
): Promise<Kernels> {
  const instance = await WebAssembly.instantiate(module ?? (await kernelModule(sharingOf(memory))), {
    env: { memory },
  })
  const far = new FarSource(memory)
  const { fetch } = far
  return { ...(instance.exports as unknown as Kernels), far, fetch, random: randomFiller(memory) }
}

const sharingOf = ({ buffer }: WebAssembly.Memory): MemorySharing =>
  buffer instanceof ArrayBuffer ? 'unshared' : 'shared'

async function readModule(url: URL): Promise<BufferSource> {
  const file = url.pathname.split('/').at(-1)!
  try {
    if (url.protocol !== 'file:') return await download(url, file)
    const { readFile } = await import('./read-file.ts')
    return await readFile(url)
  } catch (cause) {
    if (cause instanceof PolyVeilError) throw cause
    throw new PolyVeilError(
      'INTERNAL',
      `The kernels cannot be loaded: there is no ${file}`,
      { file },
      { cause, remedy: REINSTALL },
    )
  }
}

const REINSTALL =
  'Install PolyVeil again. In a web page, load it again, and check that its server has this file (docs/library.md, Bundlers).'

async function compileModule(bytes: BufferSource): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes)
  } catch (cause) {
    throw POLICY.test(String(cause)) ? forbidden(cause) : lacking(cause)
  }
}

/** Browsers name the policy, or the source that it lacks. */
const POLICY = /content.security.policy|\bcsp\b|unsafe-eval/i

const forbidden = (cause: unknown): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    'The Content-Security-Policy of the page, or of its Worker, forbids WebAssembly',
    { directive: 'script-src' },
    {
      cause,
      remedy: "Add 'wasm-unsafe-eval' to script-src, in the headers of the page and of the Worker's script.",
    },
  )

const lacking = (cause: unknown): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    'The platform does not compile the kernels: it lacks WebAssembly with SIMD',
    {},
    { cause, remedy: 'Use a newer browser.' },
  )

/** @throws SERVER_UNREACHABLE when the network fails; Error for an answer without the file */
async function download(url: URL, file: string): Promise<ArrayBuffer> {
  const unreachable = (cause: unknown): never => {
    const message = `The kernels cannot be loaded: ${file} does not come from the server of the page`
    throw new PolyVeilError(
      'SERVER_UNREACHABLE',
      message,
      { file, reason: 'unknown' },
      { cause, remedy: REACH },
    )
  }
  const response = await fetch(url).catch(unreachable)
  if (!response.ok) throw new Error(`HTTP status ${response.status}`)
  return response.arrayBuffer().catch(unreachable)
}

const REACH =
  'Check that the device is online, and that connect-src of the Content-Security-Policy allows the file; then try again.'
