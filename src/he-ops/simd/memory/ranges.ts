import { PolyVeilError } from '../../../errors/index.ts'

/** Addresses are multiples of a cache line. */
export const ALIGNMENT = 64

/** Bytes of a range, rounded up to cache lines; at least one. */
export const aligned = (bytes: number): number =>
  Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT)

/**
 * Allocates ranges of addresses from `origin` on, first fit, without an upper limit. It plans addresses only;
 * the owner provides the memory.
 */
export class Ranges {
  /** Gaps in ascending order, no two of them adjacent. */
  readonly #gaps: { start: number; end: number }[] = []
  readonly #sizes = new Map<number, number>()
  #end: number
  #used = 0

  constructor(origin: number) {
    this.#end = origin
  }

  /** Bytes allocated. */
  get used(): number {
    return this.#used
  }

  /** The end of the last range that was ever allocated. */
  get end(): number {
    return this.#end
  }

  /** @returns the start of a new range, a multiple of `ALIGNMENT` beyond the origin */
  allocate(bytes: number): number {
    const size = aligned(bytes)
    const start = this.#takeGap(size) ?? this.#extend(size)
    this.#sizes.set(start, size)
    this.#used += size
    return start
  }

  /**
   * Frees a range.
   * @param start as `allocate` returned it
   * @throws INTERNAL for any other
   */
  free(start: number): void {
    const size = this.#sizes.get(start)
    if (size === undefined) throw new PolyVeilError('INTERNAL', 'Memory is freed that was not allocated')
    this.#sizes.delete(start)
    this.#used -= size
    this.#giveBack(start, start + size)
  }

  #takeGap(size: number): number | undefined {
    const index = this.#gaps.findIndex(({ start, end }) => end - start >= size)
    if (index < 0) return undefined
    const gap = this.#gaps[index]
    const { start } = gap
    gap.start += size
    if (gap.start === gap.end) this.#gaps.splice(index, 1)
    return start
  }

  #extend(size: number): number {
    const last = this.#gaps.at(-1)
    const reachesEnd = last !== undefined && last.end === this.#end
    const start = reachesEnd ? last.start : this.#end
    if (reachesEnd) this.#gaps.pop()
    this.#end = start + size
    return start
  }

  #giveBack(start: number, end: number): void {
    const next = this.#gaps.findIndex((gap) => gap.start > start)
    const index = next < 0 ? this.#gaps.length : next
    this.#gaps.splice(index, 0, { start, end })
    this.#join(index)
    if (index > 0) this.#join(index - 1)
  }

  /** Joins a gap with the next one where they touch. */
  #join(index: number): void {
    const gap = this.#gaps[index]
    const following = this.#gaps[index + 1]
    if (following === undefined || gap.end !== following.start) return
    gap.end = following.end
    this.#gaps.splice(index + 1, 1)
  }
}
