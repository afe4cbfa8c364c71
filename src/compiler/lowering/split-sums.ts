import { withOperands } from '../../circuit/operands.ts'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { Circuit, Op, ValueId } from '../../circuit/types.ts'
import { RESIDUE_BYTES } from '../../schedule/limits.ts'
import { byInputs } from '../../schedule/shared-inputs.ts'

type Body = Pick<Circuit, 'ops' | 'result'>
type Dot = Extract<Op, { kind: 'dot' }>

/** Most memory of the summands that are alive together for some sums. */
const MOST_SUMMAND_BYTES = 512 * 2 ** 20

/**
 * Splits weighted sums into partial sums, so that their summands need not all be alive at once. Sums of a
 * layer with many channels read some hundred rotations of its ciphertexts, which take gigabytes at a high
 * level. A partial sum is placed behind the last of its summands. Partial sums are added without rounding,
 * so values and noise stay as they are.
 *
 * @param parameters of the circuit
 * @returns the body itself where no sums have so many summands
 */
export function splitSums(body: Body, parameters: CkksParameters): Body {
  const sections = sectionsOf(body.ops, parameters)
  return sections.size === 0 ? body : new Splitter(body.ops, sections).split(body.result)
}

/**
 * For each sum that is split, the values with which sections of the summands end, ascending. A section has
 * the summands between the ends.
 */
type Sections = ReadonlyMap<ValueId, readonly ValueId[]>

function sectionsOf(ops: readonly Op[], parameters: CkksParameters): Sections {
  const sections = new Map<ValueId, readonly ValueId[]>()
  const sums = [...ops.keys()].filter((id) => ops[id].kind === 'dot')
  for (const group of byInputs(sums, (id) => termsOf(ops[id]).map(({ value }) => value))) {
    const summands = new Set(group.flatMap((id) => termsOf(ops[id]).map(({ value }) => value)))
    const ends = endsOf(
      [...summands].sort((a, b) => a - b),
      (id) => valueBytes(ops[id], parameters),
    )
    if (ends.length > 1) for (const id of group) sections.set(id, ends)
  }
  return sections
}

const termsOf = (op: Op): Dot['terms'] => (op.kind === 'dot' ? op.terms : [])

/** The last value of each section. All sections but the last have as many bytes as are allowed. */
function endsOf(values: readonly ValueId[], bytesOf: (id: ValueId) => number): ValueId[] {
  const ends: ValueId[] = []
  let bytes = 0
  values.forEach((id, i) => {
    bytes += bytesOf(id)
    if (bytes < MOST_SUMMAND_BYTES && i < values.length - 1) return
    ends.push(id)
    bytes = 0
  })
  return ends
}

/** Bytes of a value. What key switching gives may stay in the extended basis. */
function valueBytes({ kind, level }: Op, { ring, specialPrimes }: CkksParameters): number {
  const isSwitched = kind === 'rotate' || kind === 'conjugate'
  return 2 * (level + 1 + (isSwitched ? specialPrimes.length : 0)) * ring * RESIDUE_BYTES
}

/** A partial sum, whose terms are of one section. */
interface Partial {
  readonly sum: ValueId
  readonly terms: Dot['terms']
}

/** Writes the operations anew, with partial sums. */
class Splitter {
  readonly #ops: readonly Op[]
  readonly #sections: Sections
  readonly #written: Op[] = []
  /** New numbers of the operations. */
  readonly #renumbered: Int32Array
  /** For each sum that is split, the sum of its partial sums so far. */
  readonly #sums = new Map<ValueId, ValueId>()

  constructor(ops: readonly Op[], sections: Sections) {
    this.#ops = ops
    this.#sections = sections
    this.#renumbered = new Int32Array(ops.length)
  }

  split(result: ValueId): Body {
    const partials = Map.groupBy(
      [...this.#sections].flatMap(([sum, ends]) => this.#partialsOf(sum, ends)),
      ({ place }) => place,
    )
    this.#ops.forEach((op, id) => {
      if (!this.#sections.has(id)) this.#renumbered[id] = this.#write(this.#withNewOperands(op))
      for (const partial of partials.get(id) ?? []) this.#add(partial)
    })
    return { ops: this.#written, result: this.#renumbered[result] }
  }

  /** @returns partial sums with the operation that each is placed behind, or that the last one replaces */
  #partialsOf(sum: ValueId, ends: readonly ValueId[]): (Partial & { readonly place: ValueId })[] {
    const sectionOf = (value: ValueId): number => ends.findIndex((end) => value <= end)
    const terms = Map.groupBy(termsOf(this.#ops[sum]), ({ value }) => sectionOf(value))
    const sections = [...terms].sort(([a], [b]) => a - b)
    return sections.map(([section, own], i) => {
      const isLast = i === sections.length - 1
      return { sum, terms: own, place: isLast ? sum : Math.min(ends[section], sum) }
    })
  }

  #add({ sum, terms }: Partial): void {
    const partial = this.#write(this.#withNewOperands({ ...(this.#ops[sum] as Dot), terms }))
    const before = this.#sums.get(sum)
    const { level, scale, layer } = this.#ops[sum]
    const after =
      before === undefined
        ? partial
        : this.#write({ kind: 'add', left: before, right: partial, level, scale, layer })
    this.#sums.set(sum, after)
    this.#renumbered[sum] = after
  }

  #withNewOperands(op: Op): Op {
    return withOperands(op, (value) => this.#renumbered[value])
  }

  #write(op: Op): ValueId {
    return this.#written.push(op) - 1
  }
}
