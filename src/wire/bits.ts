// Residues are 64-bit words, held as pairs of little-endian 32-bit halves: residue i is halves[2i] + 2^32 *
// halves[2i + 1]. SEAL's memory has the same layout, and the loops need no BigInt.

/** Bytes that `count` residues of `bits` bits take when packed without gaps. */
export const packedBytes = (count: number, bits: number): number => Math.ceil((count * bits) / 8)

const lowMask = (bits: number): number => (bits >= 32 ? -1 : (1 << bits) - 1)

/** Ors the `bits` (at most 32) low bits of `value` into `words`, starting at bit `position`. */
function deposit(words: Uint32Array, position: number, bits: number, value: number): void {
  const word = position >>> 5
  const shift = position & 31
  words[word] |= value << shift
  if (shift + bits > 32) words[word + 1] |= value >>> (32 - shift)
}

/** The inverse of `deposit`, without a mask: the caller ignores the higher bits of the result. */
function extract(words: Uint32Array, position: number, bits: number): number {
  const word = position >>> 5
  const shift = position & 31
  const low = words[word] >>> shift
  return shift + bits > 32 ? low | (words[word + 1] << (32 - shift)) : low
}

/**
 * Packs residues below 2^bits, least significant bit first; the bits that fill up the last byte are zero.
 *
 * @param halves two 32-bit halves a residue
 * @param bits size of a residue, 1 to 60
 * @returns `packedBytes` bytes
 */
export function packBits(halves: Uint32Array, bits: number): Uint8Array {
  const count = halves.length / 2
  const words = new Uint32Array(Math.ceil((count * bits) / 32))
  const low = Math.min(bits, 32)
  const high = bits - low
  for (let i = 0, position = 0; i < count; i++, position += bits) {
    deposit(words, position, low, halves[2 * i])
    if (high > 0) deposit(words, position + 32, high, halves[2 * i + 1])
  }
  return new Uint8Array(words.buffer, 0, packedBytes(count, bits))
}

/**
 * Unpacks residues that `packBits` has packed into `halves`, which is overwritten. Padding bits are ignored.
 *
 * @param bytes `packedBytes(halves.length / 2, bits)` bytes, at any alignment
 */
export function unpackBits(bytes: Uint8Array, bits: number, halves: Uint32Array): void {
  const words = new Uint32Array(Math.ceil(bytes.length / 4))
  new Uint8Array(words.buffer).set(bytes)
  const low = Math.min(bits, 32)
  const high = bits - low
  const lowBits = lowMask(low)
  const highBits = lowMask(high)
  for (let i = 0, position = 0; i < halves.length; i += 2, position += bits) {
    halves[i] = extract(words, position, low) & lowBits
    halves[i + 1] = high > 0 ? extract(words, position + 32, high) & highBits : 0
  }
}

/**
 * Whether the first `count` packed residues are below `prime`. Only a check: residues of at most 32 bits are
 * not written anywhere.
 *
 * @param bytes `packedBytes(count, bits)` bytes, at any alignment
 */
export function packedBelow(bytes: Uint8Array, bits: number, count: number, prime: bigint): boolean {
  if (bits > 32) {
    const halves = new Uint32Array(2 * count)
    unpackBits(bytes, bits, halves)
    return allBelow(halves, prime)
  }
  const words = new Uint32Array(Math.ceil(bytes.length / 4))
  new Uint8Array(words.buffer).set(bytes)
  const bound = Number(prime)
  const mask = lowMask(bits)
  for (let i = 0, position = 0; i < count; i++, position += bits) {
    if ((extract(words, position, bits) & mask) >>> 0 >= bound) return false
  }
  return true
}

/** Whether every residue is below `prime`. */
export function allBelow(halves: Uint32Array, prime: bigint): boolean {
  const low = Number(prime & 0xffffffffn)
  const high = Number(prime >> 32n)
  for (let i = 0; i < halves.length; i += 2) {
    const residueHigh = halves[i + 1]
    if (residueHigh > high || (residueHigh === high && halves[i] >= low)) return false
  }
  return true
}
