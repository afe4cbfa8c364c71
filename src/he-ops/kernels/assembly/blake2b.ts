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

/** Row `round` of the message permutation: sixteen numbers of four bits, the first in the lowest bits. */
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

/** The message word at `position` of a round's order. */
// @ts-ignore: decorator
@inline
export function word(message: usize, order: u64, position: i32): u64 {
  return load<u64>(message + (<usize>((order >> (position << 2)) & 15) << 3))
}

/**
 * The compression function: updates the state by the message. The build unrolls the lines between `#each` and
 * `#end`.
 *
 * @param bytes read up to the end of this block
 */
export function compress(state: usize, message: usize, bytes: u64, isLast: bool): void {
  // #each i, at = 0, 0;  1, 8;  2, 16;  3, 24;  4, 32;  5, 40;  6, 48;  7, 56
    let v$i = load<u64>(state, $at)
  // #end
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
    // Words a, b, c and d of the state, with the message's words at places x and y of the round's order.
    // #each a, b, c, d, x, y =
    //   0, 4, 8, 12, 0, 1;  1, 5, 9, 13, 2, 3;  2, 6, 10, 14, 4, 5;  3, 7, 11, 15, 6, 7
    //   0, 5, 10, 15, 8, 9;  1, 6, 11, 12, 10, 11;  2, 7, 8, 13, 12, 13;  3, 4, 9, 14, 14, 15
      v$a += v$b + word(message, order, $x)
      v$d = rotr<u64>(v$d ^ v$a, 32)
      v$c += v$d
      v$b = rotr<u64>(v$b ^ v$c, 24)
      v$a += v$b + word(message, order, $y)
      v$d = rotr<u64>(v$d ^ v$a, 16)
      v$c += v$d
      v$b = rotr<u64>(v$b ^ v$c, 63)
    // #end
  }
  // #each i, other, at =
  //   0, 8, 0;  1, 9, 8;  2, 10, 16;  3, 11, 24;  4, 12, 32;  5, 13, 40;  6, 14, 48;  7, 15, 56
    store<u64>(state, load<u64>(state, $at) ^ v$i ^ v$other, $at)
  // #end
}
