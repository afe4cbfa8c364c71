import { PolyVeilError } from '../../../errors/index.ts'
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

/** The kernels that programs call, by the number they have in a program. */
export const PROGRAM_KERNELS = [
  'add',
  'addBlocks',
  'binomial',
  'clear',
  'copy',
  'dot',
  'dotPermuted',
  'exactQuotients',
  'expand',
  'expandDoubles',
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
 * Kernel calls on fixed addresses, in phases. The items of a phase are independent of each other; calls
 * within an item follow one another on one thread. All threads pass from phase to phase together. Plain
 * numbers: any thread that has the memory can run it.
 */
export interface Program {
  /** Calls: number of the kernel, then its arguments. */
  readonly words: Int32Array
  /** Where each item begins in `words`, and the end of the last one. */
  readonly items: Int32Array
  /** The item that each phase begins with, and the number of items. */
  readonly phases: Int32Array
  /** Threads that run it together; the items of each phase are divided into `piecesFor` so many. */
  readonly threads: number
  /** For each phase how much of the circuit is done when it ends: a number of operations. */
  readonly progress: Int32Array
  /**
   * Phases before which the program waits for something from outside, ascending, and the number of phases.
   */
  readonly stops: readonly number[]
}

/** Adds one kernel call to the item that is being built. */
export type Call = <K extends ProgramKernel>(kernel: K, args: KernelArguments<K>) => void

/** Writes the calls of one item. @param scratch address of memory that no item of another piece uses */
export type Item = (call: Call, scratch: number) => void

/** Where a program's memory lies, which is as large as a build without it has found out. */
export interface ProgramMemory {
  readonly sizes: ProgramSizes
  /** Constant tables that calls refer to. */
  readonly tables: number
  /** Memory of the pieces, one after the other. */
  readonly scratch: number
  /** Values and temporary polynomials. */
  readonly arena: number
  readonly buffer: ArrayBufferLike
}

/** What a program needs: bytes of kernel memory, and lengths of its own arrays. */
export interface ProgramSizes {
  readonly tables: number
  readonly scratch: number
  readonly arena: number
  readonly words: number
  readonly items: number
}

/** More, and the last piece of a phase is waited for less; each has scratch memory of its own. */
const PIECES_EACH = 4

/**
 * Pieces of each phase that so many threads take from each other: none where there is nobody to take from.
 */
export const piecesFor = (threads: number): number => (threads === 1 ? 1 : PIECES_EACH * threads)

/** First item of a piece of `count` items; its end is the next piece's first. */
const pieceStart = (piece: number, pieces: number, count: number): number =>
  Math.floor((piece * count) / pieces)

/**
 * Collects the phases of a program and plans its memory. What is emitted twice, once without and once with
 * memory, must be the same both times (`linkProgram`).
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
  /** Operations of the circuit that are done once the next phase ends. */
  done = 0

  /**
   * @param scratchBytes scratch memory of each piece of a phase
   * @param memory absent to find out the sizes; the calls are then counted, not kept
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

  /** What the phases so far need. */
  get sizes(): ProgramSizes {
    return {
      tables: this.#tableBytes,
      scratch: this.#scratchBytes * piecesFor(this.threads),
      arena: this.#arena.end,
      words: this.#wordCount,
      // The end of the last one comes with `finish`.
      items: this.#items.length + 1,
    }
  }

  /** Address of memory that is the caller's from this phase on until it frees it. */
  allocate(bytes: number): number {
    return (this.#memory?.arena ?? 0) + this.#arena.allocate(bytes)
  }

  /** Another value may have the memory from the next phase on. @throws INTERNAL when it was not allocated */
  free(address: number): void {
    this.#arena.free(address - (this.#memory?.arena ?? 0))
  }

  /** The address of words that stay as they are. */
  table(words: readonly number[]): number {
    const offset = this.#tableBytes
    this.#tableBytes += 4 * words.length
    this.#tables?.set(words, offset / 4)
    return (this.#memory?.tables ?? 0) + offset
  }

  /**
   * Adds a phase; one without items is left out.
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

  /** The phases that follow wait for something from outside. */
  stop(): void {
    this.#stops.push(this.#progress.length)
  }

  /**
   * The program of all phases so far. Operations that took none of their own are done with the last one.
   *
   * @throws INTERNAL without memory, or when it is for another program
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
  runCalls(program.words, kernels, program.items[start], program.items[end])
}

/** Runs the calls between two places. A kernel's number of parameters says how many words its call takes. */
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
