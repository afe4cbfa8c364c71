import { galoisElement } from '../../circuit/keys.ts'

// SEAL numbers slots by powers of 3: its slot j is the value at zeta^(3^j), zeta = exp(pi i / N). Ours is the
// value at zeta^(5^s), so that X^(N/2) has the value i in every slot. Modulo 2N, 5 = -3^k for an odd k, so
// our slot s is SEAL's slot k s mod N/2, and for odd s its complex conjugate.

/** For each number of slots, the number of SEAL's slot that is our slot 1. Odd. */
const strides = new Map<number, number>()

/** SEAL's number of our slot `s`. */
export const sealSlot = (s: number, slots: number): number => (s * strideOf(slots)) % slots

/** Real slots in SEAL's order. @param values at most `slots`; missing ones are zero */
export function toSealOrder(values: Float64Array, slots: number): Float64Array {
  const ordered = new Float64Array(slots)
  values.forEach((value, s) => {
    ordered[sealSlot(s, slots)] = value
  })
  return ordered
}

/** Real slots in our order, from SEAL's. */
export function fromSealOrder(ordered: Float64Array): Float64Array {
  const slots = ordered.length
  return Float64Array.from({ length: slots }, (_, s) => ordered[sealSlot(s, slots)])
}

function strideOf(slots: number): number {
  const known = strides.get(slots)
  if (known !== undefined) return known
  const modulus = 4 * slots
  const wanted = modulus - galoisElement(2 * slots, 1)
  let stride = 0
  for (let power = 1; power !== wanted; power = (power * 3) % modulus) stride++
  strides.set(slots, stride)
  return stride
}
