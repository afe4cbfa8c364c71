import { PolyVeilError } from '../errors/index.ts'
import type { CkksParameters } from './parameters/parameters.ts'
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

/** The levels up to which a circuit uses its key switching keys. At lower levels a key has fewer primes. */
export interface KeyLevels {
  /** The highest level of a relinearisation; undefined where there is none. */
  readonly relin: number | undefined
  /** The highest level of the automorphism of each Galois element. */
  readonly galois: ReadonlyMap<number, number>
}

/** The levels of keys that can be used at every level. */
export const wholeKeys = (
  { primes }: Pick<CkksParameters, 'primes'>,
  galoisElements: readonly number[],
): KeyLevels => ({
  relin: primes.length - 1,
  galois: new Map(galoisElements.map((element) => [element, primes.length - 1])),
})

/** The levels up to which a circuit uses its keys, by Galois element, ascending. */
export function keyLevels({ ring }: { readonly ring: number }, { ops }: Pick<Circuit, 'ops'>): KeyLevels {
  const bySteps = new Map<number, number>()
  let conjugation = -1
  let relin = -1
  for (const op of ops) {
    if (op.kind === 'rotate') bySteps.set(op.steps, Math.max(bySteps.get(op.steps) ?? 0, op.level))
    else if (op.kind === 'conjugate') conjugation = Math.max(conjugation, op.level)
    else if (op.kind === 'relinearise') relin = Math.max(relin, op.level)
  }
  const galois = [...bySteps].map(([steps, level]) => [galoisElement(ring, steps), level] as const)
  if (conjugation >= 0) galois.push([conjugationElement(ring), conjugation])
  return {
    relin: relin < 0 ? undefined : relin,
    galois: new Map(galois.sort(([a], [b]) => a - b)),
  }
}

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
