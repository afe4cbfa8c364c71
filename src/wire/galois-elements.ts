import { type ErrorCodeName, PolyVeilError } from '../errors/index.ts'

/**
 * Checks a list of Galois elements: odd, 3 to 2N - 1, strictly ascending.
 *
 * @param code the error to raise: whose fault a bad list is
 */
export function checkGaloisElements(ring: number, elements: readonly number[], code: ErrorCodeName): void {
  const bad = elements.findIndex(
    (element, index) =>
      !Number.isInteger(element) ||
      element % 2 !== 1 ||
      element < 3 ||
      element >= 2 * ring ||
      (index > 0 && element <= elements[index - 1]),
  )
  if (bad < 0) return
  throw new PolyVeilError(
    code,
    `Galois element ${elements[bad]} is not odd, out of range, or not in ascending order`,
    { element: elements[bad] },
  )
}
