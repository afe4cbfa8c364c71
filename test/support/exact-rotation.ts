import { log2Exact } from '../../src/he-ops/encoding/order.ts'
import type { SimdContext } from '../../src/he-ops/simd/context.ts'
import { inverseElement } from '../../src/he-ops/simd/keys/key-set.ts'
import { emitDecompositions } from '../../src/he-ops/simd/operations/decompose.ts'
import type { Rotation } from '../../src/he-ops/simd/operations/key-switch.ts'
import type { Item, ProgramBuilder } from '../../src/he-ops/simd/program/program.ts'
import { limbs } from '../../src/he-ops/simd/values/values.ts'

/**
 * Emits one rotation in SEAL's order: first the automorphism, then the decomposition. With one special prime
 * the result is SEAL's bit for bit; a hoisted rotation differs from it by the signs of digits.
 *
 * Takes scratch memory of one limb and one more for each digit. The source is unchanged.
 */
export function emitExactRotation(builder: ProgramBuilder, context: SimdContext, rotation: Rotation): void {
  const { source, element, key, out } = rotation
  const { galois, limbBytes, ring, moduli } = context
  const { patterns } = galois
  const forward = galois.table(element)
  const backward = galois.table(inverseElement(element, ring))
  const rotated = builder.allocate(limbBytes * source.primes)
  builder.phase(
    limbs(context, source).map(
      ({ place }): Item =>
        (call) => {
          const at = place * limbBytes
          call('permute', {
            out: rotated + at,
            a: source.polynomials[1] + at,
            table: forward,
            patterns,
            size: ring,
          })
        },
    ),
  )
  const [digits] = emitDecompositions(builder, context, [rotated], source.primes, 'positive')
  builder.phase(
    out.polynomials.flatMap((target, p) =>
      limbs(context, out).map(
        ({ place, index }): Item =>
          (call, scratch) => {
            const { q, inverse, chunk } = moduli[index]
            const vectorTerms: number[] = []
            for (let j = 0; j < digits.digits; j++) {
              // Keys are kept permuted by the inverse automorphism, so the digits are permuted likewise.
              const digit = scratch + (1 + j) * limbBytes
              call('permute', {
                out: digit,
                a: digits.address(j, place),
                table: backward,
                patterns,
                size: ring,
              })
              vectorTerms.push(digit, key.address(j, p, index))
            }
            const hasFirst = p === 0 && place < source.primes
            const blockTerms = hasFirst
              ? builder.table([
                  source.polynomials[0] + place * limbBytes,
                  context.timesP + 4 * index,
                  log2Exact(ring),
                ])
              : 0
            call('dot', {
              out: scratch,
              blockTerms,
              blockCount: hasFirst ? 1 : 0,
              vectorTerms: builder.table(vectorTerms),
              vectorCount: digits.digits,
              from: 0,
              length: ring,
              q,
              inverse,
              chunk,
              bias: 0,
            })
            call('permute', {
              out: target + place * limbBytes,
              a: scratch,
              table: forward,
              patterns,
              size: ring,
            })
          },
      ),
    ),
  )
  digits.free()
  builder.free(rotated)
}
