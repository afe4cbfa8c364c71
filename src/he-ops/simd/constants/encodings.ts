/**
 * Words of a row: the number of its scale and form; the address, with the zero flag in its lowest bit; and
 * the constant's previous row.
 */
const ROW = 3
const FIRST_ROWS = 1024
/** Addresses are even, so that the lowest bit is free for the flag. */
const ZERO = 1

/** The address of an encoded constant, and whether all of it is zero. */
export interface Encoding {
  /** A multiple of two below 2^32. */
  readonly address: number
  readonly isZero: boolean
}

/**
 * A table of encoded constants. Circuits have millions of them: objects would take several times the memory
 * of these words.
 */
export class Encodings {
  #rows = new Uint32Array(ROW * FIRST_ROWS)
  #count = 0
  /** For each constant, one more than the index of its last row. */
  readonly #last: Uint32Array
  /** A number for each pair of scale and form, of which there are few. */
  readonly #pairs = new Map<number, Map<number, number>>()
  #pairCount = 0

  constructor(constants: number) {
    this.#last = new Uint32Array(constants)
  }

  /** @param form a number for the encoding's form and its primes */
  find(id: number, scale: number, form: number): Encoding | undefined {
    const pair = this.#pairs.get(scale)?.get(form)
    if (pair === undefined) return undefined
    const rows = this.#rows
    for (let row = this.#last[id]; row > 0; row = rows[ROW * (row - 1) + 2]) {
      const at = ROW * (row - 1)
      if (rows[at] === pair)
        return { address: rows[at + 1] - (rows[at + 1] & ZERO), isZero: isZero(rows[at + 1]) }
    }
    return undefined
  }

  add(id: number, scale: number, form: number, { address, isZero }: Encoding): void {
    const at = ROW * this.#count
    if (at === this.#rows.length) this.#grow()
    this.#rows.set([this.#pairOf(scale, form), address + (isZero ? ZERO : 0), this.#last[id]], at)
    this.#count++
    this.#last[id] = this.#count
  }

  clear(): void {
    this.#rows = new Uint32Array(ROW * FIRST_ROWS)
    this.#count = 0
    this.#last.fill(0)
  }

  #pairOf(scale: number, form: number): number {
    let forms = this.#pairs.get(scale)
    if (forms === undefined) {
      forms = new Map()
      this.#pairs.set(scale, forms)
    }
    let pair = forms.get(form)
    if (pair === undefined) {
      pair = this.#pairCount++
      forms.set(form, pair)
    }
    return pair
  }

  #grow(): void {
    const rows = new Uint32Array(2 * this.#rows.length)
    rows.set(this.#rows)
    this.#rows = rows
  }
}

const isZero = (word: number): boolean => (word & ZERO) === ZERO
