// BLAKE2Xb as SEAL expands seeds with it: the stream is a sequence of chunks of 4096 bytes, chunk c being
// BLAKE2Xb(message = c as eight bytes, key = the seed of 64 bytes, output length 4096).
//
// Sources: Saarinen and Aumasson, RFC 7693; Aumasson et al., "BLAKE2X", 2016; native/src/seal/randomgen.cpp of SEAL 4.1.

/** Bytes of a chunk of the stream. */
export const CHUNK_BYTES: i32 = 4096
const BLOCK_BYTES: i32 = 64

// What a compression works on, in the caller's scratch memory: state of 8 words, message of 16, working vector of 16.
const STATE: usize = 0
const MESSAGE: usize = 64
const ROOT: usize = 192
/** Bytes of scratch memory that `expandChunk` needs. */
export const SCRATCH_BYTES: i32 = 256

// @ts-ignore: decorator
@inline
function iv(i: i32): u64 {
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
function sigma(round: i32): u64 {
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
function word(message: usize, order: u64, position: i32): u64 {
  return load<u64>(message + (<usize>((order >> (position << 2)) & 15) << 3))
}

/** The compression function, unrolled: updates the state by the message, of which `bytes` have been read with this block. */
function compress(state: usize, message: usize, bytes: u64, isLast: bool): void {
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
  for (let round = 0; round < 12; round++) {
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

/** A fresh state under a parameter block, whose words from the fourth on are zero. */
function begin(state: usize, word0: u64, word1: u64, word2: u64): void {
  for (let i = 0; i < 8; i++) store<u64>(state + (<usize>i << 3), iv(i))
  store<u64>(state, load<u64>(state) ^ word0)
  store<u64>(state, load<u64>(state, 8) ^ word1, 8)
  store<u64>(state, load<u64>(state, 16) ^ word2, 16)
}

/** Writes chunk `counter` of the stream of a seed; overwrites `SCRATCH_BYTES` of scratch. */
function expandChunk(out: usize, seed: usize, counter: u32, scratch: usize): void {
  const state = scratch + STATE
  const message = scratch + MESSAGE
  const root = scratch + ROOT
  const length = (<u64>CHUNK_BYTES) << 32
  // The root: digest length 64, key length 64, fanout 1, depth 1; one block of key, one of message.
  begin(state, 0x01014040, length, 0)
  memory.copy(message, seed, 64)
  memory.fill(message + 64, 0, 64)
  compress(state, message, 128, false)
  memory.fill(message, 0, 64)
  store<u64>(message, counter)
  compress(state, message, 136, true)
  memory.copy(root, state, 64)
  // The leaves: digest, leaf and inner length 64, numbered by their node offset.
  memory.copy(message, root, 64)
  for (let leaf = 0; leaf < CHUNK_BYTES / BLOCK_BYTES; leaf++) {
    begin(state, 0x4000000040, length | <u64>leaf, 0x4000)
    compress(state, message, 64, true)
    memory.copy(out + <usize>(leaf * BLOCK_BYTES), state, BLOCK_BYTES)
  }
}

/**
 * Uniform residues from a seed, as SEAL's `sample_poly_uniform` draws them for one of a polynomial's primes: 64-bit words
 * of the stream modulo q.
 *
 * @param firstChunk chunk of the stream that the polynomial's residues modulo q begin at
 * @param size number of residues, a multiple of 512
 * @param scratch `SCRATCH_BYTES + CHUNK_BYTES` bytes
 * @returns how many words lie at or beyond the largest multiple of q and have to be drawn anew, from behind the words of
 *   all primes; their residues are biased as they are
 */
export function uniform(out: usize, seed: usize, firstChunk: u32, size: i32, q: u32, scratch: usize): i32 {
  const words = scratch + SCRATCH_BYTES
  const perChunk = CHUNK_BYTES >> 3
  const limit = u64.MAX_VALUE - (u64.MAX_VALUE % q) - 1
  let rejected: i32 = 0
  for (let done = 0; done < size; done += perChunk) {
    expandChunk(words, seed, firstChunk + done / perChunk, scratch)
    for (let i = 0; i < perChunk; i++) {
      const drawn = load<u64>(words + (<usize>i << 3))
      if (drawn >= limit) rejected++
      store<u32>(out + (<usize>(done + i) << 2), <u32>(drawn % q))
    }
  }
  return rejected
}

/** Writes the 64-bit words of one chunk, for draws that have to be made anew. */
export function streamChunk(out: usize, seed: usize, counter: u32, scratch: usize): void {
  expandChunk(out, seed, counter, scratch)
}
