import { compress, iv, ROUNDS, sigma, word } from './blake2b'

// BLAKE2Xb as SEAL expands seeds with it. The stream is a sequence of chunks of 4096 bytes. Chunk c is
// BLAKE2Xb(message = c as eight bytes, key = the seed of 64 bytes, output length 4096): 64 leaves of one
// compression each.
//
// Sources: Aumasson et al., "BLAKE2X", 2016; native/src/seal/randomgen.cpp of SEAL 4.1.

/** Bytes of a chunk of the stream. */
export const CHUNK_BYTES: i32 = 4096
const BLOCK_BYTES: i32 = 64
/** The output length at its place in parameter blocks. */
const LENGTH: u64 = (<u64>CHUNK_BYTES) << 32

// Layout of the caller's scratch memory: a state of 8 words, a message of 16 words, the leaves' schedule.
const STATE: usize = 0
const MESSAGE: usize = 64
const SCHEDULE: usize = 192
const SCHEDULE_BYTES: usize = ROUNDS * 16 * 16
/** Bytes of scratch memory that expanding a chunk takes. */
export const SCRATCH_BYTES: i32 = <i32>(SCHEDULE + SCHEDULE_BYTES)

/**
 * Computes the root of a chunk: BLAKE2b of the counter, keyed with the seed, one block each. Overwrites
 * `message`.
 */
function hashRoot(state: usize, message: usize, seed: usize, counter: u32): void {
  for (let i = 0; i < 8; i++) store<u64>(state + (<usize>i << 3), iv(i))
  // Parameter block: digest length 64, key length 64, fanout 1, depth 1; length of the output.
  store<u64>(state, load<u64>(state) ^ 0x01014040)
  store<u64>(state, load<u64>(state, 8) ^ LENGTH, 8)
  memory.fill(message, 0, 128)
  memory.copy(message, seed, 64)
  compress(state, message, 128, false)
  memory.fill(message, 0, 64)
  store<u64>(message, counter)
  compress(state, message, 136, true)
}

/** Writes chunk `counter` of a seed's stream, 512 words of 64 bits; overwrites `SCRATCH_BYTES` of scratch. */
export function expandChunk(out: usize, seed: usize, counter: u32, scratch: usize): void {
  const state = scratch + STATE
  const message = scratch + MESSAGE
  const schedule = scratch + SCHEDULE
  hashRoot(state, message, seed, counter)
  memory.copy(message, state, BLOCK_BYTES)
  expandSchedule(schedule, message)
  for (let leaf = 0; leaf < CHUNK_BYTES / BLOCK_BYTES; leaf += 4) {
    expandLeaves(out + <usize>(leaf * BLOCK_BYTES), schedule, leaf)
  }
}

/**
 * Writes the message's words in the order in which the twelve rounds add them, each in both lanes: 192
 * vectors.
 */
function expandSchedule(schedule: usize, message: usize): void {
  let out = schedule
  for (let round = 0; round < ROUNDS; round++) {
    const order = sigma(round)
    for (let position = 0; position < 16; position++) {
      v128.store(out, i64x2.splat(word(message, order, position)))
      out += 16
    }
  }
}

// @ts-ignore: decorator
@inline
function add64(a: v128, b: v128): v128 {
  return v128.add<u64>(a, b)
}

// Rotations of both lanes to the right.

// @ts-ignore: decorator
@inline
function rotate32(a: v128): v128 {
  return v128.shuffle<u32>(a, a, 1, 0, 3, 2)
}

// @ts-ignore: decorator
@inline
function rotate24(a: v128): v128 {
  return v128.shuffle<u8>(a, a, 3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10)
}

// @ts-ignore: decorator
@inline
function rotate16(a: v128): v128 {
  return v128.shuffle<u16>(a, a, 1, 2, 3, 0, 5, 6, 7, 4)
}

// @ts-ignore: decorator
@inline
function rotate63(a: v128): v128 {
  return v128.or(add64(a, a), v128.shr<u64>(a, 63))
}

/** Stores two neighbouring words of two leaves, one leaf in each lane. */
// @ts-ignore: decorator
@inline
function storePair(out: usize, word0: v128, word1: v128): void {
  v128.store(out, v128.shuffle<u64>(word0, word1, 0, 2))
  v128.store(out + BLOCK_BYTES, v128.shuffle<u64>(word0, word1, 1, 3))
}

// First and third word of a leaf's parameter block: digest and leaf length 64; inner length 64. The second
// word has the leaf's number and the length of the output.
const LEAF0: u64 = 0x4000000040
const LEAF2: u64 = 0x4000

/**
 * Computes four leaves, the first being number `leaf`, a multiple of four. A leaf is one compression of the
 * root, which is the message of all leaves. Two leaves are in the lanes of vectors (v), two in integers (s
 * and t): processors have separate units for vectors and integers, and both are busy at the same time. The
 * build unrolls the lines between `#each` and `#end`.
 *
 * @param schedule of `expandSchedule`
 */
function expandLeaves(out: usize, schedule: usize, leaf: u64): void {
  const h0 = iv(0) ^ LEAF0
  const h2 = iv(2) ^ LEAF2
  const v1h = v128.xor(i64x2.splat(iv(1) ^ LENGTH ^ leaf), i64x2(0, 1))
  const s1h = iv(1) ^ LENGTH ^ (leaf + 2)
  const t1h = iv(1) ^ LENGTH ^ (leaf + 3)
  let v1 = v1h
  let s1 = s1h
  let t1 = t1h
  // The block is the last one, of 64 bytes: words 12 and 14 say so.
  // #each i, start =
  //   0, h0;  2, h2;  3, iv(3);  4, iv(4);  5, iv(5);  6, iv(6);  7, iv(7)
  //   8, iv(0);  9, iv(1);  10, iv(2);  11, iv(3);  12, iv(4) ^ 64;  13, iv(5);  14, ~iv(6);  15, iv(7)
    let v$i = i64x2.splat($start)
    let s$i = $start
    let t$i = $start
  // #end
  const end = schedule + SCHEDULE_BYTES
  for (let message = schedule; message < end; message += 256) {
    // Words a, b, c and d of the state, with the message's words at bytes x and y.
    // #each a, b, c, d, x, y =
    //   0, 4, 8, 12, 0, 16;  1, 5, 9, 13, 32, 48;  2, 6, 10, 14, 64, 80;  3, 7, 11, 15, 96, 112
    //   0, 5, 10, 15, 128, 144;  1, 6, 11, 12, 160, 176;  2, 7, 8, 13, 192, 208;  3, 4, 9, 14, 224, 240
      v$a = add64(add64(v$a, v128.load(message, $x)), v$b)
      v$d = rotate32(v128.xor(v$d, v$a))
      v$c = add64(v$c, v$d)
      v$b = rotate24(v128.xor(v$b, v$c))
      v$a = add64(add64(v$a, v128.load(message, $y)), v$b)
      v$d = rotate16(v128.xor(v$d, v$a))
      v$c = add64(v$c, v$d)
      v$b = rotate63(v128.xor(v$b, v$c))
      // #each n = s; t
        $n$a += load<u64>(message, $x) + $n$b
        $n$d = rotr<u64>($n$d ^ $n$a, 32)
        $n$c += $n$d
        $n$b = rotr<u64>($n$b ^ $n$c, 24)
        $n$a += load<u64>(message, $y) + $n$b
        $n$d = rotr<u64>($n$d ^ $n$a, 16)
        $n$c += $n$d
        $n$b = rotr<u64>($n$b ^ $n$c, 63)
      // #end
    // #end
  }
  storePair(out, v128.xor(i64x2.splat(h0), v128.xor(v0, v8)), v128.xor(v1h, v128.xor(v1, v9)))
  storePair(out + 16, v128.xor(i64x2.splat(h2), v128.xor(v2, v10)), v128.xor(i64x2.splat(iv(3)), v128.xor(v3, v11)))
  storePair(out + 32, v128.xor(i64x2.splat(iv(4)), v128.xor(v4, v12)), v128.xor(i64x2.splat(iv(5)), v128.xor(v5, v13)))
  storePair(out + 48, v128.xor(i64x2.splat(iv(6)), v128.xor(v6, v14)), v128.xor(i64x2.splat(iv(7)), v128.xor(v7, v15)))
  // #each n, at = s, 128;  t, 192
    store<u64>(out, h0 ^ $n0 ^ $n8, $at)
    store<u64>(out, $n1h ^ $n1 ^ $n9, $at + 8)
    store<u64>(out, h2 ^ $n2 ^ $n10, $at + 16)
    store<u64>(out, iv(3) ^ $n3 ^ $n11, $at + 24)
    store<u64>(out, iv(4) ^ $n4 ^ $n12, $at + 32)
    store<u64>(out, iv(5) ^ $n5 ^ $n13, $at + 40)
    store<u64>(out, iv(6) ^ $n6 ^ $n14, $at + 48)
    store<u64>(out, iv(7) ^ $n7 ^ $n15, $at + 56)
  // #end
}
