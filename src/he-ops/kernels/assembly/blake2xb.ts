import { compress, iv, ROUNDS, sigma, word } from './blake2b'

// BLAKE2Xb as SEAL expands seeds with it: the stream is a sequence of chunks of 4096 bytes, chunk c being
// BLAKE2Xb(message = c as eight bytes, key = the seed of 64 bytes, output length 4096), 64 leaves of one
// compression each.
//
// Sources: Aumasson et al., "BLAKE2X", 2016; native/src/seal/randomgen.cpp of SEAL 4.1.

/** Bytes of a chunk of the stream. */
export const CHUNK_BYTES: i32 = 4096
const BLOCK_BYTES: i32 = 64
/** The output length as it stands in parameter blocks. */
const LENGTH: u64 = (<u64>CHUNK_BYTES) << 32

// What is worked on in the caller's scratch memory: a state of 8 words, a message of 16, the leaves'
// schedule.
const STATE: usize = 0
const MESSAGE: usize = 64
const SCHEDULE: usize = 192
const SCHEDULE_BYTES: usize = ROUNDS * 16 * 16
/** Bytes of scratch memory that expanding a chunk takes. */
export const SCRATCH_BYTES: i32 = <i32>(SCHEDULE + SCHEDULE_BYTES)

/**
 * The root of a chunk: BLAKE2b of the counter under the seed as key, a block each. `message` is overwritten.
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

/**
 * Writes chunk `counter` of the stream of a seed, 512 words of 64 bits; overwrites `SCRATCH_BYTES` of
 * scratch.
 */
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

/** The message's words in the order in which the twelve rounds add them, each in both lanes: 192 vectors. */
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

/** Stores two neighbouring words of the leaves in both lanes. */
// @ts-ignore: decorator
@inline
function storePair(out: usize, word0: v128, word1: v128): void {
  v128.store(out, v128.shuffle<u64>(word0, word1, 0, 2))
  v128.store(out + BLOCK_BYTES, v128.shuffle<u64>(word0, word1, 1, 3))
}

// What a leaf's parameter block has in its first and third words: digest and leaf length 64; inner length 64.
// The second has the leaf's number beside the length of the output.
const LEAF0: u64 = 0x4000000040
const LEAF2: u64 = 0x4000

/**
 * Four leaves from number `leaf` on, a multiple of four. A leaf is one compression of the root, the message
 * of all of them. Two are worked on in the lanes of vectors (v) and two in integers (s, t), unrolled:
 * processors have units for either, which are busy at the same time.
 *
 * @param schedule of `expandSchedule`
 */
function expandLeaves(out: usize, schedule: usize, leaf: u64): void {
  const h0 = iv(0) ^ LEAF0
  const h2 = iv(2) ^ LEAF2
  const v1h = v128.xor(i64x2.splat(iv(1) ^ LENGTH ^ leaf), i64x2(0, 1))
  const s1h = iv(1) ^ LENGTH ^ (leaf + 2)
  const t1h = iv(1) ^ LENGTH ^ (leaf + 3)
  let v0 = i64x2.splat(h0)
  let v1 = v1h
  let v2 = i64x2.splat(h2)
  let v3 = i64x2.splat(iv(3))
  let v4 = i64x2.splat(iv(4))
  let v5 = i64x2.splat(iv(5))
  let v6 = i64x2.splat(iv(6))
  let v7 = i64x2.splat(iv(7))
  let v8 = i64x2.splat(iv(0))
  let v9 = i64x2.splat(iv(1))
  let v10 = i64x2.splat(iv(2))
  let v11 = i64x2.splat(iv(3))
  let v12 = i64x2.splat(iv(4) ^ 64)
  let v13 = i64x2.splat(iv(5))
  let v14 = i64x2.splat(~iv(6))
  let v15 = i64x2.splat(iv(7))
  let s0 = h0
  let s1 = s1h
  let s2 = h2
  let s3 = iv(3)
  let s4 = iv(4)
  let s5 = iv(5)
  let s6 = iv(6)
  let s7 = iv(7)
  let s8 = iv(0)
  let s9 = iv(1)
  let s10 = iv(2)
  let s11 = iv(3)
  let s12 = iv(4) ^ 64
  let s13 = iv(5)
  let s14 = ~iv(6)
  let s15 = iv(7)
  let t0 = h0
  let t1 = t1h
  let t2 = h2
  let t3 = iv(3)
  let t4 = iv(4)
  let t5 = iv(5)
  let t6 = iv(6)
  let t7 = iv(7)
  let t8 = iv(0)
  let t9 = iv(1)
  let t10 = iv(2)
  let t11 = iv(3)
  let t12 = iv(4) ^ 64
  let t13 = iv(5)
  let t14 = ~iv(6)
  let t15 = iv(7)
  // The block is the last one, of 64 bytes: that is what words 12 and 14 say.
  const end = schedule + SCHEDULE_BYTES
  for (let message = schedule; message < end; message += 256) {
    v0 = add64(add64(v0, v128.load(message, 0)), v4)
    v12 = rotate32(v128.xor(v12, v0))
    v8 = add64(v8, v12)
    v4 = rotate24(v128.xor(v4, v8))
    v0 = add64(add64(v0, v128.load(message, 16)), v4)
    v12 = rotate16(v128.xor(v12, v0))
    v8 = add64(v8, v12)
    v4 = rotate63(v128.xor(v4, v8))
    s0 += load<u64>(message, 0) + s4
    s12 = rotr<u64>(s12 ^ s0, 32)
    s8 += s12
    s4 = rotr<u64>(s4 ^ s8, 24)
    s0 += load<u64>(message, 16) + s4
    s12 = rotr<u64>(s12 ^ s0, 16)
    s8 += s12
    s4 = rotr<u64>(s4 ^ s8, 63)
    t0 += load<u64>(message, 0) + t4
    t12 = rotr<u64>(t12 ^ t0, 32)
    t8 += t12
    t4 = rotr<u64>(t4 ^ t8, 24)
    t0 += load<u64>(message, 16) + t4
    t12 = rotr<u64>(t12 ^ t0, 16)
    t8 += t12
    t4 = rotr<u64>(t4 ^ t8, 63)
    v1 = add64(add64(v1, v128.load(message, 32)), v5)
    v13 = rotate32(v128.xor(v13, v1))
    v9 = add64(v9, v13)
    v5 = rotate24(v128.xor(v5, v9))
    v1 = add64(add64(v1, v128.load(message, 48)), v5)
    v13 = rotate16(v128.xor(v13, v1))
    v9 = add64(v9, v13)
    v5 = rotate63(v128.xor(v5, v9))
    s1 += load<u64>(message, 32) + s5
    s13 = rotr<u64>(s13 ^ s1, 32)
    s9 += s13
    s5 = rotr<u64>(s5 ^ s9, 24)
    s1 += load<u64>(message, 48) + s5
    s13 = rotr<u64>(s13 ^ s1, 16)
    s9 += s13
    s5 = rotr<u64>(s5 ^ s9, 63)
    t1 += load<u64>(message, 32) + t5
    t13 = rotr<u64>(t13 ^ t1, 32)
    t9 += t13
    t5 = rotr<u64>(t5 ^ t9, 24)
    t1 += load<u64>(message, 48) + t5
    t13 = rotr<u64>(t13 ^ t1, 16)
    t9 += t13
    t5 = rotr<u64>(t5 ^ t9, 63)
    v2 = add64(add64(v2, v128.load(message, 64)), v6)
    v14 = rotate32(v128.xor(v14, v2))
    v10 = add64(v10, v14)
    v6 = rotate24(v128.xor(v6, v10))
    v2 = add64(add64(v2, v128.load(message, 80)), v6)
    v14 = rotate16(v128.xor(v14, v2))
    v10 = add64(v10, v14)
    v6 = rotate63(v128.xor(v6, v10))
    s2 += load<u64>(message, 64) + s6
    s14 = rotr<u64>(s14 ^ s2, 32)
    s10 += s14
    s6 = rotr<u64>(s6 ^ s10, 24)
    s2 += load<u64>(message, 80) + s6
    s14 = rotr<u64>(s14 ^ s2, 16)
    s10 += s14
    s6 = rotr<u64>(s6 ^ s10, 63)
    t2 += load<u64>(message, 64) + t6
    t14 = rotr<u64>(t14 ^ t2, 32)
    t10 += t14
    t6 = rotr<u64>(t6 ^ t10, 24)
    t2 += load<u64>(message, 80) + t6
    t14 = rotr<u64>(t14 ^ t2, 16)
    t10 += t14
    t6 = rotr<u64>(t6 ^ t10, 63)
    v3 = add64(add64(v3, v128.load(message, 96)), v7)
    v15 = rotate32(v128.xor(v15, v3))
    v11 = add64(v11, v15)
    v7 = rotate24(v128.xor(v7, v11))
    v3 = add64(add64(v3, v128.load(message, 112)), v7)
    v15 = rotate16(v128.xor(v15, v3))
    v11 = add64(v11, v15)
    v7 = rotate63(v128.xor(v7, v11))
    s3 += load<u64>(message, 96) + s7
    s15 = rotr<u64>(s15 ^ s3, 32)
    s11 += s15
    s7 = rotr<u64>(s7 ^ s11, 24)
    s3 += load<u64>(message, 112) + s7
    s15 = rotr<u64>(s15 ^ s3, 16)
    s11 += s15
    s7 = rotr<u64>(s7 ^ s11, 63)
    t3 += load<u64>(message, 96) + t7
    t15 = rotr<u64>(t15 ^ t3, 32)
    t11 += t15
    t7 = rotr<u64>(t7 ^ t11, 24)
    t3 += load<u64>(message, 112) + t7
    t15 = rotr<u64>(t15 ^ t3, 16)
    t11 += t15
    t7 = rotr<u64>(t7 ^ t11, 63)
    v0 = add64(add64(v0, v128.load(message, 128)), v5)
    v15 = rotate32(v128.xor(v15, v0))
    v10 = add64(v10, v15)
    v5 = rotate24(v128.xor(v5, v10))
    v0 = add64(add64(v0, v128.load(message, 144)), v5)
    v15 = rotate16(v128.xor(v15, v0))
    v10 = add64(v10, v15)
    v5 = rotate63(v128.xor(v5, v10))
    s0 += load<u64>(message, 128) + s5
    s15 = rotr<u64>(s15 ^ s0, 32)
    s10 += s15
    s5 = rotr<u64>(s5 ^ s10, 24)
    s0 += load<u64>(message, 144) + s5
    s15 = rotr<u64>(s15 ^ s0, 16)
    s10 += s15
    s5 = rotr<u64>(s5 ^ s10, 63)
    t0 += load<u64>(message, 128) + t5
    t15 = rotr<u64>(t15 ^ t0, 32)
    t10 += t15
    t5 = rotr<u64>(t5 ^ t10, 24)
    t0 += load<u64>(message, 144) + t5
    t15 = rotr<u64>(t15 ^ t0, 16)
    t10 += t15
    t5 = rotr<u64>(t5 ^ t10, 63)
    v1 = add64(add64(v1, v128.load(message, 160)), v6)
    v12 = rotate32(v128.xor(v12, v1))
    v11 = add64(v11, v12)
    v6 = rotate24(v128.xor(v6, v11))
    v1 = add64(add64(v1, v128.load(message, 176)), v6)
    v12 = rotate16(v128.xor(v12, v1))
    v11 = add64(v11, v12)
    v6 = rotate63(v128.xor(v6, v11))
    s1 += load<u64>(message, 160) + s6
    s12 = rotr<u64>(s12 ^ s1, 32)
    s11 += s12
    s6 = rotr<u64>(s6 ^ s11, 24)
    s1 += load<u64>(message, 176) + s6
    s12 = rotr<u64>(s12 ^ s1, 16)
    s11 += s12
    s6 = rotr<u64>(s6 ^ s11, 63)
    t1 += load<u64>(message, 160) + t6
    t12 = rotr<u64>(t12 ^ t1, 32)
    t11 += t12
    t6 = rotr<u64>(t6 ^ t11, 24)
    t1 += load<u64>(message, 176) + t6
    t12 = rotr<u64>(t12 ^ t1, 16)
    t11 += t12
    t6 = rotr<u64>(t6 ^ t11, 63)
    v2 = add64(add64(v2, v128.load(message, 192)), v7)
    v13 = rotate32(v128.xor(v13, v2))
    v8 = add64(v8, v13)
    v7 = rotate24(v128.xor(v7, v8))
    v2 = add64(add64(v2, v128.load(message, 208)), v7)
    v13 = rotate16(v128.xor(v13, v2))
    v8 = add64(v8, v13)
    v7 = rotate63(v128.xor(v7, v8))
    s2 += load<u64>(message, 192) + s7
    s13 = rotr<u64>(s13 ^ s2, 32)
    s8 += s13
    s7 = rotr<u64>(s7 ^ s8, 24)
    s2 += load<u64>(message, 208) + s7
    s13 = rotr<u64>(s13 ^ s2, 16)
    s8 += s13
    s7 = rotr<u64>(s7 ^ s8, 63)
    t2 += load<u64>(message, 192) + t7
    t13 = rotr<u64>(t13 ^ t2, 32)
    t8 += t13
    t7 = rotr<u64>(t7 ^ t8, 24)
    t2 += load<u64>(message, 208) + t7
    t13 = rotr<u64>(t13 ^ t2, 16)
    t8 += t13
    t7 = rotr<u64>(t7 ^ t8, 63)
    v3 = add64(add64(v3, v128.load(message, 224)), v4)
    v14 = rotate32(v128.xor(v14, v3))
    v9 = add64(v9, v14)
    v4 = rotate24(v128.xor(v4, v9))
    v3 = add64(add64(v3, v128.load(message, 240)), v4)
    v14 = rotate16(v128.xor(v14, v3))
    v9 = add64(v9, v14)
    v4 = rotate63(v128.xor(v4, v9))
    s3 += load<u64>(message, 224) + s4
    s14 = rotr<u64>(s14 ^ s3, 32)
    s9 += s14
    s4 = rotr<u64>(s4 ^ s9, 24)
    s3 += load<u64>(message, 240) + s4
    s14 = rotr<u64>(s14 ^ s3, 16)
    s9 += s14
    s4 = rotr<u64>(s4 ^ s9, 63)
    t3 += load<u64>(message, 224) + t4
    t14 = rotr<u64>(t14 ^ t3, 32)
    t9 += t14
    t4 = rotr<u64>(t4 ^ t9, 24)
    t3 += load<u64>(message, 240) + t4
    t14 = rotr<u64>(t14 ^ t3, 16)
    t9 += t14
    t4 = rotr<u64>(t4 ^ t9, 63)
  }
  storePair(out, v128.xor(i64x2.splat(h0), v128.xor(v0, v8)), v128.xor(v1h, v128.xor(v1, v9)))
  storePair(out + 16, v128.xor(i64x2.splat(h2), v128.xor(v2, v10)), v128.xor(i64x2.splat(iv(3)), v128.xor(v3, v11)))
  storePair(out + 32, v128.xor(i64x2.splat(iv(4)), v128.xor(v4, v12)), v128.xor(i64x2.splat(iv(5)), v128.xor(v5, v13)))
  storePair(out + 48, v128.xor(i64x2.splat(iv(6)), v128.xor(v6, v14)), v128.xor(i64x2.splat(iv(7)), v128.xor(v7, v15)))
  store<u64>(out, h0 ^ s0 ^ s8, 128)
  store<u64>(out, s1h ^ s1 ^ s9, 136)
  store<u64>(out, h2 ^ s2 ^ s10, 144)
  store<u64>(out, iv(3) ^ s3 ^ s11, 152)
  store<u64>(out, iv(4) ^ s4 ^ s12, 160)
  store<u64>(out, iv(5) ^ s5 ^ s13, 168)
  store<u64>(out, iv(6) ^ s6 ^ s14, 176)
  store<u64>(out, iv(7) ^ s7 ^ s15, 184)
  store<u64>(out, h0 ^ t0 ^ t8, 192)
  store<u64>(out, t1h ^ t1 ^ t9, 200)
  store<u64>(out, h2 ^ t2 ^ t10, 208)
  store<u64>(out, iv(3) ^ t3 ^ t11, 216)
  store<u64>(out, iv(4) ^ t4 ^ t12, 224)
  store<u64>(out, iv(5) ^ t5 ^ t13, 232)
  store<u64>(out, iv(6) ^ t6 ^ t14, 240)
  store<u64>(out, iv(7) ^ t7 ^ t15, 248)
}
