import { PolyVeilError } from '../errors/index.ts'
import type { Circuit } from './types.ts'

/**
 * The Galois element 5^steps mod 2N of the automorphism that rotates slots left by `steps`: slot s is the
 * value of the plaintext at zeta^(5^s), zeta = exp(pi i / N). It is computed by squaring and multiplying, so
 * that the time grows with the number of digits of `steps` only.
 *
 * @param ring polynomial modulus degree N, at most 2^20: products of two residues are exact
 * @param steps a non-negative integer
 * @throws CONFIG_INVALID when `steps` is negative or not an integer
 */
export function galoisElement(ring: number, steps: number): number {
  if (!Number.isSafeInteger(steps) || steps < 0) {
    throw new PolyVeilError('CONFIG_INVALID', `${steps} is no number of steps to rotate by`)
  }
  const modulus = 2 * ring
  let element = 1
  let power = 5
  for (let rest = steps; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) element = (element * power) % modulus
    power = (power * power) % modulus
  }
  return element
}

/** The Galois element of complex conjugation of the slots, X -> X^-1. */
export const conjugationElement = (ring: number): number => 2 * ring - 1

/** The Galois elements of rotation steps, each once, ascending, as key sets list them. */
export const rotationElements = ({ ring }: { readonly ring: number }, steps: readonly number[]): number[] =>
  [...new Set(steps.map((step) => galoisElement(ring, step)))].sort((a, b) => a - b)

/**
 * The Galois elements of a circuit's rotations and conjugations, each once, ascending. Each needs a Galois
 * key.
 */
export const circuitElements = (
  parameters: { readonly ring: number },
  circuit: Pick<Circuit, 'ops'>,
): number[] => [
  ...rotationElements(parameters, rotationSteps(circuit)),
  // The largest element of a ring.
  ...(hasConjugation(circuit) ? [conjugationElement(parameters.ring)] : []),
]

/** Number of Galois keys that a circuit needs. */
export const galoisKeyCount = (circuit: Pick<Circuit, 'ops'>): number =>
  rotationSteps(circuit).length + Number(hasConjugation(circuit))

/** Whether a circuit conjugates a value. */
export const hasConjugation = ({ ops }: Pick<Circuit, 'ops'>): boolean =>
  ops.some(({ kind }) => kind === 'conjugate')

/** The distinct rotation steps of a circuit, ascending. Each needs a Galois key. */
export function rotationSteps(circuit: Pick<Circuit, 'ops'>): number[] {
  const steps = new Set<number>()
  for (const op of circuit.ops) if (op.kind === 'rotate') steps.add(op.steps)
  return [...steps].sort((a, b) => a - b)
}
