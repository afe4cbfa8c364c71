import { galoisElement } from '../circuit/keys.ts'

/** The Galois elements of rotation steps, ascending, as key sets list them. */
export const galoisElements = (
  { ring }: { readonly ring: number },
  rotationSteps: readonly number[],
): number[] => [...new Set(rotationSteps.map((steps) => galoisElement(ring, steps)))].sort((a, b) => a - b)
