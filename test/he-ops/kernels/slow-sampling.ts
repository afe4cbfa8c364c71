// The samplers' outputs for given random bytes, computed coefficient by coefficient.

/**
 * Coefficients plus 1, by definition: a byte modulo 3. A byte of 255 is replaced by the next byte of the
 * reserve.
 */
export function slowTernary(bytes: Uint8Array, size: number): Uint32Array {
  let reserve = size
  return Uint32Array.from({ length: size }, (_, k) => {
    let byte = bytes[k]
    while (byte === 255) byte = bytes[reserve++]
    return byte % 3
  })
}

/**
 * SEAL's definition: the number of set bits of x0, x1 and five bits of x2, minus that of x3, x4 and five bits
 * of x5.
 */
export function slowBinomial(bytes: Uint8Array, size: number): Uint32Array {
  const ones = (value: number): number => value.toString(2).replaceAll('0', '').length
  return Uint32Array.from({ length: size }, (_, k) => {
    const [x0, x1, x2, x3, x4, x5] = Array.from({ length: 6 }, (_, j) => bytes[j * size + k])
    return ones(x0) + ones(x1) + ones(x2 & 31) - ones(x3) - ones(x4) - ones(x5 & 31) + 21
  })
}

/**
 * Residues by definition: a word modulo q. A word beyond q's largest multiple is replaced by the next word of
 * the reserve.
 */
export function slowResidues(words: BigUint64Array, size: number, q: number): Uint32Array {
  const prime = BigInt(q)
  const limit = (2n ** 64n / prime) * prime
  let reserve = size
  return Uint32Array.from({ length: size }, (_, k) => {
    let word = words[k]
    while (word >= limit) word = words[reserve++]
    return Number(word % prime)
  })
}
