import type { Circuit } from './types.ts'

/** The Galois element 3^steps mod 2N of the automorphism that rotates slots left by `steps`, as SEAL numbers them. */
export function galoisElement(ring: number, steps: number): number {
  const modulus = 2 * ring
  let element = 1
  for (let i = 0; i < steps; i++) element = (element * 3) % modulus
  return element
}

/** The distinct rotation steps of a circuit, ascending: one Galois key each. */
export function rotationSteps(circuit: Pick<Circuit, 'ops'>): number[] {
  const steps = new Set<number>()
  for (const op of circuit.ops) if (op.kind === 'rotate') steps.add(op.steps)
  return [...steps].sort((a, b) => a - b)
}
