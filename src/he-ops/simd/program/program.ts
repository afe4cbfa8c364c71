import { PolyVeilError } from '../../../errors/index.ts'
import { POLYNOMIAL_GAP_BYTES } from '../../../schedule/limits.ts'
import {
  KERNEL_FIELDS,
  type KernelArguments,
  type KernelName,
  writeArguments,
} from '../../kernels/arguments.ts'
import { callPositional } from '../../kernels/call.ts'
import type { Kernels } from '../../kernels/kernels.ts'
import { Ranges } from '../memory/ranges.ts'
import { newWords, WordWriter, wordsOf } from '../memory/words.ts'

/** Kernels that programs call. A program refers to a kernel by its index in this list. */
export const PROGRAM_KERNELS = [
  'add',
  'addBlocks',
  'binomial',
  'clear',
  'copy',
  'dot',
  'dotPermuted',
  'dotShared',
  'exactQuotients',
  'expand',
  'expandDoubles',
  'fetch',
  'multiplyPairs',
  'nttForward',
  'nttInverse',
  'pack',
  'permute',
  'quotients',
  'random',
  'reduce',
  'residues',
  'scale',
  'scatter',
  'subtract',
  'subtractScale',
  'ternary',
  'uniformNoted',
  'unpackNoted',
] as const satisfies readonly KernelName[]

export type ProgramKernel = (typeof PROGRAM_KERNELS)[number]

const KERNEL_NUMBERS = new Map<ProgramKernel, number>(PROGRAM_KERNELS.map((kernel, i) => [kernel, i]))

/**
 * Kernel calls on fixed addresses, in phases. The items of a phase are independent of each other; the calls
 * of an item run in order on one thread. All threads pass from phase to phase together. A program is plain
 * numbers: any thread that has the memory can run it.
 */
export interface Program {
  /** The calls: each is a kernel's number and its arguments. */
  readonly words: Int32Array
  /** The index in `words` at which each item begins, and the end of the last item. */
  readonly items: Int32Array
  /** The first item of each phase, and the number of items. */
  readonly phases: Int32Array
  /**
   * Threads that run the program together; the items of each phase are divided into `piecesFor(threads)`
   * pieces.
   */
  readonly threads: number
  /** For each phase, the number of the circuit's operations that are done at its end. */
  readonly progress: Int32Array
  /** The far memory that it copies from. */
  readonly far: readonly SharedArrayBuffer[]
  /**
   * Phases before which the program stops for the caller, ascending; the last entry is the number of phases.
   */
  readonly stops: readonly number[]
}

/** Adds one kernel call to the item that is being built. */
export type Call = <K extends ProgramKernel>(kernel: K, args: KernelArguments<K>) => void

/**
 * Emits the calls of one item.
 * @param scratch address of scratch memory that no item of another piece uses
 */
export type Item = (call: Call, scratch: number) => void

/** Addresses of a program's memory. Its sizes are those that a build without memory has measured. */
export interface ProgramMemory {
  readonly sizes: ProgramSizes
  /** Constant tables that calls refer to. */
  readonly tables: number
  /** Scratch memory of all pieces, one after the other. */
  readonly scratch: number
  /** Values and temporary polynomials. */
  readonly arena: number
  readonly buffer: ArrayBufferLike
  readonly far: readonly SharedArrayBuffer[]
}

/** Sizes of a program: bytes of kernel memory, and lengths of its own arrays. */
export interface ProgramSizes {
  readonly tables: number
  readonly scratch: number
  readonly arena: number
  readonly words: number
  readonly items: number
}

/** More pieces shorten the wait for the last one; each piece needs scratch memory of its own. */
const PIECES_EACH = 4

/** Pieces of each phase, which the threads steal from each other. A single thread needs only one. */
export const piecesFor = (threads: number): number => (threads === 1 ? 1 : PIECES_EACH * threads)

/** First item of a piece, of `count` items in all; a piece ends where the next one begins. */
const pieceStart = (piece: number, pieces: number, count: number): number =>
  Math.floor((piece * count) / pieces)

/**
 * Collects the phases of a program and plans its memory. `linkProgram` emits a program twice, first without
 * memory and then with it; both must be the same.
 */
export class ProgramBuilder {
  readonly threads: number
  readonly #memory: ProgramMemory | undefined
  readonly #scratchBytes: number
  readonly #tables: Uint32Array | undefined
  readonly #arena = new Ranges(0)
  readonly #wordArray: Int32Array | undefined
  readonly #itemArray: Int32Array | undefined
  readonly #items: WordWriter
  readonly #phases: number[] = []
  readonly #progress: number[] = []
  readonly #stops: number[] = []
  #wordCount = 0
  #tableBytes = 0
  /** Operations of the circuit that are done when the next phase ends. */
  done = 0

  /**
   * @param scratchBytes scratch memory of each piece of a phase
   * @param memory absent in the build that measures sizes, which counts calls without keeping them
   */
  constructor(threads: number, scratchBytes: number, memory?: ProgramMemory) {
    this.threads = threads
    this.#scratchBytes = scratchBytes
    this.#memory = memory
    this.#tables = memory && new Uint32Array(memory.buffer, memory.tables)
    this.#wordArray = memory && newWords(memory.sizes.words, threads > 1)
    this.#itemArray = memory && newWords(memory.sizes.items, threads > 1)
    this.#items = new WordWriter(this.#itemArray)
  }

  /** Sizes of the phases so far. */
  get sizes(): ProgramSizes {
    return {
      tables: this.#tableBytes,
      scratch: this.#scratchBytes * piecesFor(this.threads),
      arena: this.#arena.end,
      words: this.#wordCount,
      // `finish` adds the end of the last item.
      items: this.#items.length + 1,
    }
  }

  /** Address of memory that the caller owns, from this phase on, until it frees it. */
  allocate(bytes: number): number {
    return (this.#memory?.arena ?? 0) + this.#arena.allocate(bytes)
  }

  /**
   * As `allocate`, with the gap after a polynomial that keeps ranges of many in different sets of a cache.
   */
  allocatePolynomial(bytes: number): number {
    return this.allocate(bytes + POLYNOMIAL_GAP_BYTES)
  }

  /**
   * Frees memory: from the next phase on another value may use it.
   * @throws INTERNAL when it was not allocated
   */
  free(address: number): void {
    this.#arena.free(address - (this.#memory?.arena ?? 0))
  }

  /** Address of constant words, which are written once. */
  table(words: readonly number[]): number {
    const offset = this.#tableBytes
    this.#tableBytes += 4 * words.length
    this.#tables?.set(words, offset / 4)
    return (this.#memory?.tables ?? 0) + offset
  }

  /**
   * Adds a phase. A phase without items is left out.
   *
   * @param items independent of each other: they are divided into pieces of neighbours, and run in any order
   */
  phase(items: readonly Item[]): void {
    if (items.length === 0) return
    this.#phases.push(this.#items.length)
    this.#progress.push(this.done)
    const pieces = piecesFor(this.threads)
    for (let piece = 0; piece < pieces; piece++) {
      const scratch = (this.#memory?.scratch ?? 0) + piece * this.#scratchBytes
      const end = pieceStart(piece + 1, pieces, items.length)
      for (let index = pieceStart(piece, pieces, items.length); index < end; index++) {
        this.#items.push(this.#wordCount)
        items[index](this.#call, scratch)
      }
    }
  }

  /** Makes the program stop for the caller before the next phase. */
  stop(): void {
    this.#stops.push(this.#progress.length)
  }

  /**
   * The program of all phases so far. Operations without a phase of their own count as done with the last
   * phase.
   *
   * @throws INTERNAL without memory, or when the memory was measured for another program
   */
  finish(): Program {
    const { sizes } = this
    if (!isSame(sizes, this.#memory?.sizes)) {
      throw new PolyVeilError('INTERNAL', 'A program is not the one that its memory was measured for')
    }
    const isShared = this.threads > 1
    const phases = [...this.#phases, this.#items.length]
    this.#items.push(this.#wordCount)
    if (this.#progress.length > 0) this.#progress[this.#progress.length - 1] = this.done
    return {
      words: this.#wordArray!,
      items: this.#itemArray!,
      phases: wordsOf(phases, isShared),
      progress: wordsOf(this.#progress, isShared),
      threads: this.threads,
      far: this.#memory!.far,
      stops: [...this.#stops, this.#progress.length],
    }
  }

  readonly #call: Call = (kernel, args) => {
    const words = this.#wordArray
    const at = this.#wordCount
    this.#wordCount += 1 + KERNEL_FIELDS[kernel].length
    if (words === undefined) return
    words[at] = KERNEL_NUMBERS.get(kernel)!
    writeArguments(words, at + 1, kernel, args)
  }
}

/**
 * Runs one piece of a phase on the calling thread.
 *
 * @param kernels on the memory that the program was linked for
 * @param piece 0 to `piecesFor(program.threads)` - 1
 */
export function runPiece(program: Program, kernels: Kernels, phase: number, piece: number): void {
  const first = program.phases[phase]
  const count = program.phases[phase + 1] - first
  const pieces = piecesFor(program.threads)
  const start = first + pieceStart(piece, pieces, count)
  const end = first + pieceStart(piece + 1, pieces, count)
  kernels.far.chunks = program.far
  runCalls(program.words, kernels, program.items[start], program.items[end])
}

/**
 * Runs the calls from `start` to `end`. A kernel's number of parameters is the number of its call's
 * arguments.
 */
function runCalls(words: Int32Array, kernels: Kernels, start: number, end: number): void {
  let at = start
  while (at < end) {
    const kernel = kernels[PROGRAM_KERNELS[words[at]]]
    callPositional(kernel, words, at + 1)
    at += 1 + kernel.length
  }
}

const isSame = (a: ProgramSizes, b: ProgramSizes | undefined): boolean =>
  (Object.keys(a) as (keyof ProgramSizes)[]).every((part) => a[part] === b?.[part])
