import { inFarUnits } from '../../../schedule/constant-storage.ts'
import { farCopy } from '../program/far-copy.ts'
import type { ProgramBuilder } from '../program/program.ts'

/** Bytes that one item copies, roughly. */
const RUN_BYTES = 2 ** 20

/** Bytes that are contiguous in both memories. */
interface Run {
  readonly from: number
  readonly to: number
  bytes: number
}

/** Copies of what is kept in far memory, for the phases that follow. They stay until `free`. */
export class FarCopies {
  readonly #builder: ProgramBuilder
  readonly #copied = new Map<number, number>()
  readonly #runs: Run[] = []
  readonly #memory: number | undefined
  #next: number

  /** @param bytes of all copies, each in whole units */
  constructor(builder: ProgramBuilder, bytes: number) {
    this.#builder = builder
    this.#memory = bytes === 0 ? undefined : builder.allocate(bytes)
    this.#next = this.#memory ?? 0
  }

  /** The address of the future copy of some bytes. Equal requests get the same copy. */
  near(from: number, bytes: number): number {
    const known = this.#copied.get(from)
    if (known !== undefined) return known
    const to = this.#next
    this.#next += inFarUnits(bytes)
    this.#copied.set(from, to)
    const last = this.#runs.at(-1)
    const goesOn =
      last !== undefined &&
      last.from + last.bytes === from &&
      last.to + last.bytes === to &&
      last.bytes < RUN_BYTES
    if (goesOn) last.bytes += inFarUnits(bytes)
    else this.#runs.push({ from, to, bytes: inFarUnits(bytes) })
    return to
  }

  /** Emits one phase. */
  emit(): void {
    this.#builder.phase(this.#runs.map(({ to, from, bytes }) => farCopy(to, from, bytes)))
  }

  free(): void {
    if (this.#memory !== undefined) this.#builder.free(this.#memory)
  }
}
