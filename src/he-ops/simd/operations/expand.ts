import type { ConstantId } from '../../../circuit/types.ts'
import { INTEGER_BOUND, type PassingBytes, passingBytes } from '../../../schedule/constant-storage.ts'
import type {
  ConstantForm,
  ConstantStore,
  EncodedConstant,
  IntegerConstant,
} from '../constants/constant-store.ts'
import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { limbsOf } from '../values/values.ts'
import type { FarCopies } from './far-copies.ts'
import type { Dot } from './weighted-sum.ts'

/** Words modulo one prime that one call of the kernel writes, roughly. */
const RUN_WORDS = 8192

/**
 * Weights with contiguous integers and contiguous residues: one kernel call for each prime expands them all.
 */
interface Run {
  readonly form: ConstantForm
  readonly indices: readonly number[]
  /** Words of each weight. */
  readonly size: number
  /** Integers of each weight. */
  readonly kept: number
  readonly from: number
  readonly to: number
  count: number
}

/**
 * Writes the residues of weights that are kept as integers, for the sums of the next phase: each integer is
 * multiplied by the form's factor modulo each prime, and the result is transformed. The residues stay until
 * `free`.
 */
export class Expansion {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  readonly #constants: ConstantStore
  readonly #copies: FarCopies
  readonly #expanded = new Map<string, EncodedConstant>()
  readonly #runs: Run[] = []
  readonly #memory: number | undefined
  #next: number

  /**
   * @param copies of the integers that are in far memory; they are made before
   * @param bytes that the residues of all weights take
   */
  constructor(
    builder: ProgramBuilder,
    context: SimdContext,
    constants: ConstantStore,
    copies: FarCopies,
    bytes: number,
  ) {
    this.#builder = builder
    this.#context = context
    this.#constants = constants
    this.#copies = copies
    this.#memory = bytes === 0 ? undefined : builder.allocate(bytes)
    this.#next = this.#memory ?? 0
  }

  /**
   * The future residues of a weight, in the form of `ConstantStore.encoded`. Equal requests get the same
   * residues.
   */
  encoded(id: ConstantId, scale: number, primes: number, form: ConstantForm): EncodedConstant {
    const key = `${id}/${scale}/${primes}/${form}`
    let constant = this.#expanded.get(key)
    if (constant === undefined) {
      constant = this.#expand(this.#integers(id, scale, primes), primes, form)
      this.#expanded.set(key, constant)
    }
    return constant
  }

  /** Emits one phase. */
  emit(): void {
    this.#builder.phase(this.#runs.flatMap((run) => runItems(this.#context, run)))
  }

  free(): void {
    if (this.#memory !== undefined) this.#builder.free(this.#memory)
  }

  /** The integers of a weight in kernel memory. */
  #integers(id: ConstantId, scale: number, primes: number): IntegerConstant {
    const integers = this.#constants.integers(id, scale, primes)
    if (!this.#constants.isFarWeight(id)) return integers
    return { ...integers, address: this.#copies.near(integers.address, 4 * integers.kept) }
  }

  #expand(
    { address: from, count: size, kept, shift, isZero }: IntegerConstant,
    primes: number,
    form: ConstantForm,
  ): EncodedConstant {
    const indices = limbsOf(this.#context, primes, form === 'extended')
    const to = this.#next
    this.#next += 4 * size * indices.length
    const last = this.#runs.at(-1)
    const goesOn =
      last !== undefined &&
      last.form === form &&
      last.size === size &&
      last.kept === kept &&
      last.indices.length === indices.length &&
      last.from + 4 * kept * last.count === from &&
      last.to + 4 * size * indices.length * last.count === to &&
      size * last.count < RUN_WORDS
    if (goesOn) last.count++
    else this.#runs.push({ form, indices, size, kept, from, to, count: 1 })
    return { address: to, count: size, shift, isZero }
  }
}

/** Makes one item for each prime. */
function runItems(context: SimdContext, { form, indices, size, kept, from, to, count }: Run): Item[] {
  return indices.map((index, place) => {
    const modulus = context.moduli[index]
    const { q, forward, quotients } = modulus
    const { w, quotient } = form === 'timesP' ? context.timesPFactors[index] : modulus.montgomery
    // A multiple of the prime that makes every integer non-negative and keeps it within a word.
    const bias = q * Math.ceil(INTEGER_BOUND / q)
    const out = to + 4 * size * place
    const stride = 4 * size * indices.length
    return (call) =>
      call('expand', {
        out,
        stride,
        integers: from,
        count,
        size,
        kept,
        bias,
        w,
        quotient,
        table: forward,
        quotients,
        q,
      })
  })
}

/** The most bytes that a sum takes for copies and residues of its weights. */
export function passingBytesOf(context: SimdContext, constants: ConstantStore, dot: Dot): PassingBytes {
  const { terms, constantScale, out } = dot
  const special = context.parameters.specialPrimes.length
  const all = { copied: 0, expanded: 0 }
  for (const { value, constant } of terms) {
    const isExpanded = constants.isExpanded(constant, constantScale, 'weight')
    const isFar = constants.isFarWeight(constant)
    if (!isExpanded && !isFar) continue
    const limbs = out.primes + (value.extended ? special : 0)
    const { copied, expanded } = passingBytes({ isExpanded, isFar, ...constants.size(constant), limbs })
    all.copied += copied
    all.expanded += expanded
  }
  return all
}
