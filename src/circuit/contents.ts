/** Arrays up to this length are compared faster than remembered. */
const SHORT = 64

/** Numbers arrays of doubles by what they hold, bit for bit, in the order of their first appearance. */
export class Contents {
  readonly items: Float64Array[] = []
  /** The last number for each hash, and the one of equal hash before each number; -1 ends the list. */
  readonly #last = new Map<number, number>()
  readonly #before: number[] = []
  /** Long arrays, which many constants share, are looked at once. */
  readonly #seen = new WeakMap<Float64Array, number>()

  /** @param values kept, and not to be changed from then on */
  numberOf(values: Float64Array): number {
    if (values.length <= SHORT) return this.#find(values)
    const known = this.#seen.get(values)
    if (known !== undefined) return known
    const number = this.#find(values)
    this.#seen.set(values, number)
    return number
  }

  #find(values: Float64Array): number {
    const hash = hashOf(values)
    const last = this.#last.get(hash) ?? -1
    for (let number = last; number >= 0; number = this.#before[number]) {
      if (areEqual(this.items[number], values)) return number
    }
    this.#before.push(last)
    const number = this.items.push(values) - 1
    this.#last.set(hash, number)
    return number
  }
}

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)

/** FNV-1a over words instead of bytes, with a last mixing. Reads no `buffer`, which short arrays have none of until then. */
function hashOf(values: Float64Array): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < values.length; i++) {
    double[0] = values[i]
    hash = Math.imul(hash ^ words[0], 0x01000193)
    hash = Math.imul(hash ^ words[1] ^ (hash >>> 15), 0x01000193)
  }
  return hash ^ (hash >>> 16)
}

function areEqual(a: Float64Array, b: Float64Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false
  return true
}
