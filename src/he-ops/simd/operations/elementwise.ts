import type { EncodedConstant, IntegerConstant } from '../constants/constant-store.ts'
import type { SimdContext } from '../context.ts'
import type { Call, Item, ProgramBuilder } from '../program/program.ts'
import type { Modulus } from '../tables/modulus.ts'
import { type Limb, limbs, type Value } from '../values/values.ts'

/** A sum or a difference of two values of one shape, and the place of its result. */
export interface Binary {
  readonly kind: 'add' | 'subtract'
  readonly left: Value
  readonly right: Value
  readonly out: Value
}

/** Sums and differences of two values that are both normal or both extended, at one level. One phase. */
export function emitBinaries(builder: ProgramBuilder, context: SimdContext, work: readonly Binary[]): void {
  const items: Item[] = []
  for (const { kind, left, right, out } of work) {
    for (const { place, modulus } of limbs(context, out)) {
      const at = place * context.limbBytes
      items.push((call) => {
        out.polynomials.forEach((polynomial, p) => {
          call(kind, {
            out: polynomial + at,
            a: left.polynomials[p] + at,
            b: right.polynomials[p] + at,
            size: context.ring,
            q: modulus.q,
          })
        })
      })
    }
  }
  builder.phase(items)
}

/** A product with i; both values are normal or both are extended, at one level. */
export interface TimesI {
  readonly from: Value
  readonly out: Value
}

/** Multiplies values by i, which is X^(N/2). Levels and scales stay. One phase. */
export function emitTimesI(builder: ProgramBuilder, context: SimdContext, work: readonly TimesI[]): void {
  builder.phase(
    work.flatMap(({ from, out }) =>
      limbs(context, out).map((limb): Item => {
        const at = limb.place * context.limbBytes
        return (call) => {
          out.polynomials.forEach((to, p) => {
            timesI(call, context, limb.modulus, from.polynomials[p] + at, to + at)
          })
        }
      }),
    ),
  )
}

/**
 * In NTT form X^(N/2) is psi^(N/2) modulo the prime at the first half of the residues, and its negative at
 * the second half: residue b is the value at psi^(2 * bitReverse(b) + 1), and bitReverse(b) is even in the
 * first half only.
 */
function timesI(
  call: Call,
  { ring }: SimdContext,
  { q, imaginary }: Modulus,
  from: number,
  to: number,
): void {
  const size = ring / 2
  imaginary.forEach((factor, half) => {
    const at = 4 * size * half
    call('scale', { out: to + at, a: from + at, bias: 0, ...factor, size, q })
  })
}

/** A product of two normal values of two polynomials; `out` has three. */
export interface Product {
  readonly left: Value
  readonly right: Value
  readonly out: Value
}

/** Slot-wise products, to be relinearised. Scales multiply; both levels are the same, and stay. One phase. */
export function emitProducts(builder: ProgramBuilder, context: SimdContext, work: readonly Product[]): void {
  const items: Item[] = []
  for (const { left, right, out } of work) {
    for (const { place, modulus } of limbs(context, out)) {
      const at = place * context.limbBytes
      const { q, inverse, square } = modulus
      items.push((call) =>
        call('multiplyPairs', {
          out0: out.polynomials[0] + at,
          out1: out.polynomials[1] + at,
          out2: out.polynomials[2] + at,
          a0: left.polynomials[0] + at,
          a1: left.polynomials[1] + at,
          b0: right.polynomials[0] + at,
          b1: right.polynomials[1] + at,
          size: context.ring,
          q,
          inverse,
          square,
        }),
      )
    }
  }
  builder.phase(items)
}

/**
 * The sum of a value and a plaintext that is encoded at the value's scale and level. The result has the
 * operand's second polynomial: the creator of `out` shares it or copies it.
 */
export interface PlainSum {
  readonly from: Value
  readonly addend: EncodedConstant | ExpandedAddend
  readonly out: Value
}

/** An addend that is kept as integers. Its residues are written to scratch memory when they are needed. */
export interface ExpandedAddend {
  /** As whole doubles. */
  readonly doubles: IntegerConstant
}

/** Adds plaintexts to first polynomials. One phase; operands are unchanged. */
export function emitPlainSums(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly PlainSum[],
): void {
  builder.phase(
    work.flatMap((sum) => limbs(context, sum.out).map((limb): Item => plainSumItem(context, sum, limb))),
  )
}

function plainSumItem(
  { limbBytes, ring }: SimdContext,
  { from, addend, out }: PlainSum,
  { place, modulus }: Limb,
): Item {
  const at = place * limbBytes
  const { q, forward, quotients } = modulus
  return (call, scratch) => {
    if ('doubles' in addend) {
      const { address, count, kept } = addend.doubles
      call('expandDoubles', {
        out: scratch,
        values: address,
        size: count,
        kept,
        table: forward,
        quotients,
        q,
      })
    }
    const { shift } = 'doubles' in addend ? addend.doubles : addend
    const residues = 'doubles' in addend ? scratch : addend.address + 4 * addend.count * place
    call('addBlocks', {
      out: out.polynomials[0] + at,
      a: from.polynomials[0] + at,
      w: residues,
      shift,
      size: ring,
      q,
    })
  }
}
