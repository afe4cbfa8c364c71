// The compression function of BLAKE2b and its constants.
//
// Source: Saarinen and Aumasson, RFC 7693.

export const ROUNDS: i32 = 12

/** Word `i` of the initial state. */
// @ts-ignore: decorator
@inline
export function iv(i: i32): u64 {
  switch (i) {
    case 0:
      return 0x6a09e667f3bcc908
    case 1:
      return 0xbb67ae8584caa73b
    case 2:
      return 0x3c6ef372fe94f82b
    case 3:
      return 0xa54ff53a5f1d36f1
    case 4:
      return 0x510e527fade682d1
    case 5:
      return 0x9b05688c2b3e6c1f
    case 6:
      return 0x1f83d9abfb41bd6b
    default:
      return 0x5be0cd19137e2179
  }
}

/** Row `round` of the message permutation, sixteen numbers of four bits, the first in the lowest bits. */
export function sigma(round: i32): u64 {
  switch (round % 10) {
    case 0:
      return 0xfedcba9876543210
    case 1:
      return 0x357b20c16df984ae
    case 2:
      return 0x491763eadf250c8b
    case 3:
      return 0x8f04a562ebcd1397
    case 4:
      return 0xd386cb1efa427509
    case 5:
      return 0x91ef57d438b0a6c2
    case 6:
      return 0xb8293670a4def15c
    case 7:
      return 0xa2684f05931ce7bd
    case 8:
      return 0x5a417d2c803b9ef6
    default:
      return 0x0dc3e9bf5167482a
  }
}

/** Word of the message that stands at `position` of a round's order. */
// @ts-ignore: decorator
@inline
export function word(message: usize, order: u64, position: i32): u64 {
  return load<u64>(message + (<usize>((order >> (position << 2)) & 15) << 3))
}

/**
 * The compression function, unrolled: updates the state by the message, of which `bytes` have been read with
 * this block.
 */
export function compress(state: usize, message: usize, bytes: u64, isLast: bool): void {
  let v0 = load<u64>(state)
  let v1 = load<u64>(state, 8)
  let v2 = load<u64>(state, 16)
  let v3 = load<u64>(state, 24)
  let v4 = load<u64>(state, 32)
  let v5 = load<u64>(state, 40)
  let v6 = load<u64>(state, 48)
  let v7 = load<u64>(state, 56)
  let v8 = iv(0)
  let v9 = iv(1)
  let v10 = iv(2)
  let v11 = iv(3)
  let v12 = iv(4) ^ bytes
  let v13 = iv(5)
  let v14 = isLast ? ~iv(6) : iv(6)
  let v15 = iv(7)
  for (let round = 0; round < ROUNDS; round++) {
    const order = sigma(round)
    v0 += v4 + word(message, order, 0)
    v12 = rotr<u64>(v12 ^ v0, 32)
    v8 += v12
    v4 = rotr<u64>(v4 ^ v8, 24)
    v0 += v4 + word(message, order, 1)
    v12 = rotr<u64>(v12 ^ v0, 16)
    v8 += v12
    v4 = rotr<u64>(v4 ^ v8, 63)
    v1 += v5 + word(message, order, 2)
    v13 = rotr<u64>(v13 ^ v1, 32)
    v9 += v13
    v5 = rotr<u64>(v5 ^ v9, 24)
    v1 += v5 + word(message, order, 3)
    v13 = rotr<u64>(v13 ^ v1, 16)
    v9 += v13
    v5 = rotr<u64>(v5 ^ v9, 63)
    v2 += v6 + word(message, order, 4)
    v14 = rotr<u64>(v14 ^ v2, 32)
    v10 += v14
    v6 = rotr<u64>(v6 ^ v10, 24)
    v2 += v6 + word(message, order, 5)
    v14 = rotr<u64>(v14 ^ v2, 16)
    v10 += v14
    v6 = rotr<u64>(v6 ^ v10, 63)
    v3 += v7 + word(message, order, 6)
    v15 = rotr<u64>(v15 ^ v3, 32)
    v11 += v15
    v7 = rotr<u64>(v7 ^ v11, 24)
    v3 += v7 + word(message, order, 7)
    v15 = rotr<u64>(v15 ^ v3, 16)
    v11 += v15
    v7 = rotr<u64>(v7 ^ v11, 63)
    v0 += v5 + word(message, order, 8)
    v15 = rotr<u64>(v15 ^ v0, 32)
    v10 += v15
    v5 = rotr<u64>(v5 ^ v10, 24)
    v0 += v5 + word(message, order, 9)
    v15 = rotr<u64>(v15 ^ v0, 16)
    v10 += v15
    v5 = rotr<u64>(v5 ^ v10, 63)
    v1 += v6 + word(message, order, 10)
    v12 = rotr<u64>(v12 ^ v1, 32)
    v11 += v12
    v6 = rotr<u64>(v6 ^ v11, 24)
    v1 += v6 + word(message, order, 11)
    v12 = rotr<u64>(v12 ^ v1, 16)
    v11 += v12
    v6 = rotr<u64>(v6 ^ v11, 63)
    v2 += v7 + word(message, order, 12)
    v13 = rotr<u64>(v13 ^ v2, 32)
    v8 += v13
    v7 = rotr<u64>(v7 ^ v8, 24)
    v2 += v7 + word(message, order, 13)
    v13 = rotr<u64>(v13 ^ v2, 16)
    v8 += v13
    v7 = rotr<u64>(v7 ^ v8, 63)
    v3 += v4 + word(message, order, 14)
    v14 = rotr<u64>(v14 ^ v3, 32)
    v9 += v14
    v4 = rotr<u64>(v4 ^ v9, 24)
    v3 += v4 + word(message, order, 15)
    v14 = rotr<u64>(v14 ^ v3, 16)
    v9 += v14
    v4 = rotr<u64>(v4 ^ v9, 63)
  }
  store<u64>(state, load<u64>(state) ^ v0 ^ v8)
  store<u64>(state, load<u64>(state, 8) ^ v1 ^ v9, 8)
  store<u64>(state, load<u64>(state, 16) ^ v2 ^ v10, 16)
  store<u64>(state, load<u64>(state, 24) ^ v3 ^ v11, 24)
  store<u64>(state, load<u64>(state, 32) ^ v4 ^ v12, 32)
  store<u64>(state, load<u64>(state, 40) ^ v5 ^ v13, 40)
  store<u64>(state, load<u64>(state, 48) ^ v6 ^ v14, 48)
  store<u64>(state, load<u64>(state, 56) ^ v7 ^ v15, 56)
}
