/** Numbers of a row: scale, what it is encoded as, address, whether it is zero, and the row before of the same constant. */
const ROW = 5
const FIRST_ROWS = 1024

/** Where a constant lies that has been encoded, and whether all of it is zero. */
export interface Encoding {
  readonly address: number
  readonly isZero: boolean
}

/**
 * What constants have been encoded to. Circuits have a million of them, and objects for each would take several times the
 * memory of a table of numbers.
 */
export class Encodings {
  #rows = new Float64Array(ROW * FIRST_ROWS)
  #count = 0
  /** One more than the last row of each constant. */
  readonly #last: Uint32Array

  constructor(constants: number) {
    this.#last = new Uint32Array(constants)
  }

  /** @param form a number for what the constant is encoded as, and modulo which primes */
  find(id: number, scale: number, form: number): Encoding | undefined {
    const rows = this.#rows
    for (let row = this.#last[id]; row > 0; row = rows[ROW * (row - 1) + 4]) {
      const at = ROW * (row - 1)
      if (rows[at] === scale && rows[at + 1] === form) {
        return { address: rows[at + 2], isZero: rows[at + 3] === 1 }
      }
    }
    return undefined
  }

  add(id: number, scale: number, form: number, { address, isZero }: Encoding): void {
    const at = ROW * this.#count
    if (at === this.#rows.length) this.#grow()
    this.#rows.set([scale, form, address, isZero ? 1 : 0, this.#last[id]], at)
    this.#count++
    this.#last[id] = this.#count
  }

  clear(): void {
    this.#rows = new Float64Array(ROW * FIRST_ROWS)
    this.#count = 0
    this.#last.fill(0)
  }

  #grow(): void {
    const rows = new Float64Array(2 * this.#rows.length)
    rows.set(this.#rows)
    this.#rows = rows
  }
}
