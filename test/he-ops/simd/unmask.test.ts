import t from 'tap'
import { checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { emitIngresses, ingressScratch } from '../../../src/he-ops/simd/operations/unmask.ts'
import { linkProgram, runProgram } from '../../../src/he-ops/simd/threads/run.ts'
import { NOTES_BYTES } from '../../../src/he-ops/simd/values/load-pair.ts'
import { centred, mod, transforms } from '../seal/exact.ts'
import { holdsPiece, newSimdContext } from './fixture.ts'

// The server subtracts a mask from what the client has encrypted anew. The mask stands for the integer of
// least absolute value with its residues, so near plus and minus half of the modulus one wrong quotient would
// be off by the whole modulus.

const RING = 8192
const MASK_PRIMES = 3
const primes = nttPrimes(RING, [30, 29, 30, 30, 28, 30]).map(String)
const parameters = checkParameters({ ring: RING, primes: primes.slice(0, 5), specialPrimes: primes.slice(5) })
const context = await newSimdContext(parameters)
const { heap, limbBytes } = context
const Q = parameters.primes.slice(0, MASK_PRIMES).reduce((product, prime) => product * prime, 1n)

/** Integers next to both ends of the range of masks, next to zero, and in between. */
const masks: bigint[] = Array.from({ length: RING }, (_, k) => {
  const end = (Q - 1n) / 2n - BigInt(k >> 3)
  const middle = centred(BigInt(k) ** 5n * 0x9e3779b97f4a7c15f39cc0605cedc834n, Q)
  return [end, -end, BigInt(k), -BigInt(k), middle, -middle, end - 2n ** 40n, 2n ** 40n - end][k % 8]
})

/** Takes in an encryption whose first polynomial is zero, under the masks: the result is their negative. */
function unmasked(): { readonly c0: number } {
  const count = parameters.primes.length
  const [c0, c1, mask] = [count, count, MASK_PRIMES].map((limbs) => heap.allocate(limbs * limbBytes))
  const [seed, notes] = [heap.allocate(64), heap.allocate(NOTES_BYTES * count)]
  for (let i = 0; i < MASK_PRIMES; i++) {
    const residues = masks.map((value) => Number(mod(value, parameters.primes[i])))
    heap.words(mask + i * limbBytes, RING).set(residues)
  }
  heap.bytes(c1, count * limbBytes).fill(0)
  const out = { polynomials: [c0, c1], primes: count, extended: false }
  const linked = linkProgram(context, 1, ingressScratch(context, MASK_PRIMES), (builder) =>
    emitIngresses(builder, context, [{ out, mask, maskPrimes: MASK_PRIMES, seed, notes }]),
  )
  runProgram(linked.program, context)
  linked.free()
  return { c0 }
}

t.test('masks are lifted exactly, next to half of the modulus too', async (t) => {
  const { c0 } = unmasked()
  for (const [i, prime] of parameters.primes.entries()) {
    const values = Array.from(heap.words(c0 + i * limbBytes, RING), BigInt)
    const found = transforms(RING, prime).inverse(values)
    const wrong = found.findIndex((value, k) => value !== centred(-masks[k], prime))
    t.equal(wrong, -1, `prime ${i}`)
  }
})

t.test('scratch memory keeps neither the mask nor what it is lifted from', async (t) => {
  unmasked()
  const { steps } = context.conversion([0, 1, 2], true)
  for (const [i, { prime }] of context.moduli.entries()) {
    const lifted = transforms(RING, prime).forward(masks)
    t.notOk(holdsPiece(heap.memory, Uint32Array.from(lifted, Number)), `the mask modulo prime ${i}`)
    if (i >= MASK_PRIMES) continue
    const { bias, scale } = steps[i]
    const sources = masks.map((value) => Number(mod((value + BigInt(bias)) * BigInt(scale.w), prime)))
    t.notOk(holdsPiece(heap.memory, Uint32Array.from(sources)), `source ${i} of its base extension`)
  }
})
