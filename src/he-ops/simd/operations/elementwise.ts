import type { EncodedConstant } from '../constants.ts'
import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program.ts'
import { limbs, type Value } from '../values.ts'

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
 * A value plus a plaintext encoded at the value's scale and level. The result's second polynomial is the operand's: whoever
 * makes `out` shares or copies it.
 */
export interface PlainSum {
  readonly from: Value
  readonly addend: EncodedConstant
  readonly out: Value
}

/** Sums of first polynomials and plaintexts. One phase; the operands stay as they are. */
export function emitPlainSums(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly PlainSum[],
): void {
  builder.phase(
    work.flatMap(({ from, addend, out }) =>
      limbs(context, out).map(
        ({ place, modulus }): Item =>
          (call) => {
            const at = place * context.limbBytes
            const weights = addend.address + 4 * addend.count * place
            call(
              'addBlocks',
              out.polynomials[0] + at,
              from.polynomials[0] + at,
              weights,
              addend.shift,
              context.ring,
              modulus.q,
            )
          },
      ),
    ),
  )
}
