import type { EncodedConstant, IntegerConstant } from '../constants/constant-store.ts'
import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { type Limb, limbs, type Value } from '../values/values.ts'

/** An operation on two values of one shape, and where its result goes. */
export interface Binary {
  readonly kind: 'add' | 'subtract'
  readonly left: Value
  readonly right: Value
  readonly out: Value
}

/** Sums and differences of values that are all normal or all extended, at one level each. One phase. */
export function emitBinaries(builder: ProgramBuilder, context: SimdContext, work: readonly Binary[]): void {
  const items: Item[] = []
  for (const { kind, left, right, out } of work) {
    for (const { place, modulus } of limbs(context, out)) {
      const at = place * context.limbBytes
      items.push((call) => {
        out.polynomials.forEach((polynomial, p) => {
          call(
            kind,
            polynomial + at,
            left.polynomials[p] + at,
            right.polynomials[p] + at,
            context.ring,
            modulus.q,
          )
        })
      })
    }
  }
  builder.phase(items)
}

/** A product of two normal values of two polynomials; `out` has three. */
export interface Product {
  readonly left: Value
  readonly right: Value
  readonly out: Value
}

/** Products slot by slot, still to be relinearised; scales multiply, levels are one and stay. One phase. */
export function emitProducts(builder: ProgramBuilder, context: SimdContext, work: readonly Product[]): void {
  const items: Item[] = []
  for (const { left, right, out } of work) {
    for (const { place, modulus } of limbs(context, out)) {
      const at = place * context.limbBytes
      const operands = [out, left, right].flatMap(({ polynomials }) => polynomials.map((p) => p + at))
      items.push((call) =>
        call('multiplyPairs', ...operands, context.ring, modulus.q, modulus.inverse, modulus.square),
      )
    }
  }
  builder.phase(items)
}

/**
 * A value plus a plaintext encoded at the value's scale and level. The result's second polynomial is the
 * operand's: whoever makes `out` shares or copies it.
 */
export interface PlainSum {
  readonly from: Value
  readonly addend: EncodedConstant | ExpandedAddend
  readonly out: Value
}

/** An addend whose residues are written, to scratch memory, when they are read. */
export interface ExpandedAddend {
  /** As whole doubles. */
  readonly doubles: IntegerConstant
}

/** Sums of first polynomials and plaintexts. One phase; the operands stay as they are. */
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
      const { address, count } = addend.doubles
      call('expandDoubles', scratch, address, count, forward, quotients, q)
    }
    const { shift } = 'doubles' in addend ? addend.doubles : addend
    const residues = 'doubles' in addend ? scratch : addend.address + 4 * addend.count * place
    call('addBlocks', out.polynomials[0] + at, from.polynomials[0] + at, residues, shift, ring, q)
  }
}
