import { multiplyShoup, reduceOnce } from './vector'

// Negacyclic transforms modulo one prime q < 2^30, in place, in SEAL's order: afterwards entry b is the
// polynomial's value at psi^(2 * bitReverse(b) + 1). Values stay lazy between stages (below 4 * q forwards, 2
// * q backwards); pairs of stages are done in one pass over memory, the two innermost ones within registers.
//
// A table holds, for i below the size, psi^bitReverse(i) (backwards: psi^-bitReverse(i)) and, `quotients`
// bytes behind it, floor(w * 2^32 / q) of each. Tables of smaller sizes are prefixes of larger ones.
//
// Sources: Longa and Naehrig, ePrint 2016/504, algorithms 1 and 2; Harvey 2014 for the lazy butterflies.

/** Smaller transforms take the scalar path. */
const VECTOR_SIZE: i32 = 16

/**
 * Forward transform.
 *
 * @param values `size` residues below q; overwritten with residues below q
 */
export function nttForward(values: usize, table: usize, quotients: usize, size: i32, q: u32): void {
  if (size < VECTOR_SIZE) {
    forwardPlain(values, table, quotients, size, q)
    return
  }
  let half = size >> 1
  let groups: i32 = 1
  // Stages down to distance 4 go in pairs; an odd one goes first.
  if (((31 - clz(size)) & 1) == 1) {
    forwardSingle(values, table, quotients, half, q)
    half >>= 1
    groups = 2
  }
  while (half >= 8) {
    forwardPair(values, table, quotients, groups, half, q)
    half >>= 2
    groups <<= 2
  }
  forwardLast(values, table, quotients, size, q)
}

/** One stage of a single group. */
function forwardSingle(values: usize, table: usize, quotients: usize, half: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const q2 = i32x4.splat(q << 1)
  const w = v128.load32_splat(table + 4)
  const wq = v128.load32_splat(table + quotients + 4)
  const distance = <usize>half << 2
  const end = values + distance
  for (let at = values; at < end; at += 16) {
    const x = v128.load(at)
    const t = multiplyShoup(v128.load(at + distance), w, wq, q1)
    v128.store(at, v128.add<u32>(x, t))
    v128.store(at + distance, v128.add<u32>(v128.sub<u32>(x, t), q2))
  }
}

/** Stages of distance `half` and half / 2 in one pass. */
function forwardPair(values: usize, table: usize, quotients: usize, groups: i32, half: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const q2 = i32x4.splat(q << 1)
  const step = <usize>half << 1
  for (let group = 0; group < groups; group++) {
    const outer = table + (<usize>(groups + group) << 2)
    const inner = table + (<usize>(groups + group) << 3)
    const w = v128.load32_splat(outer)
    const wq = v128.load32_splat(outer + quotients)
    const u = v128.load32_splat(inner)
    const uq = v128.load32_splat(inner + quotients)
    const v = v128.load32_splat(inner + 4)
    const vq = v128.load32_splat(inner + quotients + 4)
    const start = values + <usize>group * (step << 2)
    const end = start + step
    for (let at = start; at < end; at += 16) {
      const at1 = at + step
      const at2 = at1 + step
      const at3 = at2 + step
      const a0 = reduceOnce(v128.load(at), q2)
      const a1 = reduceOnce(v128.load(at1), q2)
      const t2 = multiplyShoup(v128.load(at2), w, wq, q1)
      const t3 = multiplyShoup(v128.load(at3), w, wq, q1)
      const b0 = reduceOnce(v128.add<u32>(a0, t2), q2)
      const b1 = v128.add<u32>(a1, t3)
      const b2 = reduceOnce(v128.add<u32>(v128.sub<u32>(a0, t2), q2), q2)
      const b3 = v128.add<u32>(v128.sub<u32>(a1, t3), q2)
      const s1 = multiplyShoup(b1, u, uq, q1)
      const s3 = multiplyShoup(b3, v, vq, q1)
      v128.store(at, v128.add<u32>(b0, s1))
      v128.store(at1, v128.add<u32>(v128.sub<u32>(b0, s1), q2))
      v128.store(at2, v128.add<u32>(b2, s3))
      v128.store(at3, v128.add<u32>(v128.sub<u32>(b2, s3), q2))
    }
  }
}

/** Stages of distance 2 and 1 on two vectors at a time, and the full reduction. */
function forwardLast(values: usize, table: usize, quotients: usize, size: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const q2 = i32x4.splat(q << 1)
  // Eight values at byte 32 * i use roots size / 4 + 2 i and + 1, then size / 2 + 4 i to + 3.
  let outer = table + <usize>size
  let inner = table + (<usize>size << 1)
  const end = values + (<usize>size << 2)
  for (let at = values; at < end; at += 32) {
    const a = v128.load(at)
    const b = v128.load(at + 16)
    const w2 = v128.load64_zero(outer)
    const w2q = v128.load64_zero(outer + quotients)
    const w = v128.shuffle<u32>(w2, w2, 0, 0, 1, 1)
    const wq = v128.shuffle<u32>(w2q, w2q, 0, 0, 1, 1)
    const x = reduceOnce(v128.shuffle<u32>(a, b, 0, 1, 4, 5), q2)
    const t = multiplyShoup(v128.shuffle<u32>(a, b, 2, 3, 6, 7), w, wq, q1)
    // Lanes: sums are entries 0, 1 of each four, differences entries 2, 3.
    const sum = v128.add<u32>(x, t)
    const difference = v128.add<u32>(v128.sub<u32>(x, t), q2)
    const even = reduceOnce(v128.shuffle<u32>(sum, difference, 0, 4, 2, 6), q2)
    const odd = v128.shuffle<u32>(sum, difference, 1, 5, 3, 7)
    const s = multiplyShoup(odd, v128.load(inner), v128.load(inner + quotients), q1)
    const p = reduceOnce(reduceOnce(v128.add<u32>(even, s), q2), q1)
    const m = reduceOnce(reduceOnce(v128.add<u32>(v128.sub<u32>(even, s), q2), q2), q1)
    v128.store(at, v128.shuffle<u32>(p, m, 0, 4, 1, 5))
    v128.store(at + 16, v128.shuffle<u32>(p, m, 2, 6, 3, 7))
    outer += 8
    inner += 16
  }
}

/**
 * Inverse transform.
 *
 * @param values `size` residues below q; overwritten with residues below q
 * @param inverseSize size^-1 mod q
 * @param inverseQuotient floor(inverseSize * 2^32 / q)
 * @param last psi^-bitReverse(1) * inverseSize mod q: the last stage's root with the division by the size
 * @param lastQuotient floor(last * 2^32 / q)
 */
export function nttInverse(
  values: usize,
  table: usize,
  quotients: usize,
  size: i32,
  q: u32,
  inverseSize: u32,
  inverseQuotient: u32,
  last: u32,
  lastQuotient: u32,
): void {
  if (size < VECTOR_SIZE) {
    inversePlain(values, table, quotients, size, q)
    scalePlain(values, size, q, inverseSize)
    return
  }
  inverseFirst(values, table, quotients, size, q)
  let half: i32 = 4
  let groups = size >> 3
  while (groups >= 4) {
    inversePair(values, table, quotients, groups, half, q)
    half <<= 2
    groups >>= 2
  }
  if (groups == 2) {
    inverseSinglePair(values, table, quotients, half, q)
    half <<= 1
  }
  inverseLast(values, half, q, inverseSize, inverseQuotient, last, lastQuotient)
}

/** Stages of distance 1 and 2 on two vectors at a time. */
function inverseFirst(values: usize, table: usize, quotients: usize, size: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const q2 = i32x4.splat(q << 1)
  let inner = table + (<usize>size << 1)
  let outer = table + <usize>size
  const end = values + (<usize>size << 2)
  for (let at = values; at < end; at += 32) {
    const a = v128.load(at)
    const b = v128.load(at + 16)
    const x = v128.shuffle<u32>(a, b, 0, 2, 4, 6)
    const y = v128.shuffle<u32>(a, b, 1, 3, 5, 7)
    const sum = reduceOnce(v128.add<u32>(x, y), q2)
    const difference = multiplyShoup(
      v128.add<u32>(v128.sub<u32>(x, y), q2),
      v128.load(inner),
      v128.load(inner + quotients),
      q1,
    )
    // Entries 0, 1 of each four against 2, 3.
    const c = v128.shuffle<u32>(sum, difference, 0, 4, 2, 6)
    const d = v128.shuffle<u32>(sum, difference, 1, 5, 3, 7)
    const w2 = v128.load64_zero(outer)
    const w2q = v128.load64_zero(outer + quotients)
    const w = v128.shuffle<u32>(w2, w2, 0, 0, 1, 1)
    const wq = v128.shuffle<u32>(w2q, w2q, 0, 0, 1, 1)
    const p = reduceOnce(v128.add<u32>(c, d), q2)
    const m = multiplyShoup(v128.add<u32>(v128.sub<u32>(c, d), q2), w, wq, q1)
    v128.store(at, v128.shuffle<u32>(p, m, 0, 1, 4, 5))
    v128.store(at + 16, v128.shuffle<u32>(p, m, 2, 3, 6, 7))
    inner += 16
    outer += 8
  }
}

/** Stages of distance `half` (of `groups` groups) and 2 * half in one pass. */
function inversePair(values: usize, table: usize, quotients: usize, groups: i32, half: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const q2 = i32x4.splat(q << 1)
  const step = <usize>half << 2
  const pairs = groups >> 1
  for (let pair = 0; pair < pairs; pair++) {
    const inner = table + (<usize>(groups + 2 * pair) << 2)
    const outer = table + (<usize>(pairs + pair) << 2)
    const u = v128.load32_splat(inner)
    const uq = v128.load32_splat(inner + quotients)
    const v = v128.load32_splat(inner + 4)
    const vq = v128.load32_splat(inner + quotients + 4)
    const w = v128.load32_splat(outer)
    const wq = v128.load32_splat(outer + quotients)
    const start = values + <usize>pair * (step << 2)
    const end = start + step
    for (let at = start; at < end; at += 16) {
      const at1 = at + step
      const at2 = at1 + step
      const at3 = at2 + step
      const a0 = v128.load(at)
      const a1 = v128.load(at1)
      const a2 = v128.load(at2)
      const a3 = v128.load(at3)
      const b0 = reduceOnce(v128.add<u32>(a0, a1), q2)
      const b1 = multiplyShoup(v128.add<u32>(v128.sub<u32>(a0, a1), q2), u, uq, q1)
      const b2 = reduceOnce(v128.add<u32>(a2, a3), q2)
      const b3 = multiplyShoup(v128.add<u32>(v128.sub<u32>(a2, a3), q2), v, vq, q1)
      v128.store(at, reduceOnce(v128.add<u32>(b0, b2), q2))
      v128.store(at1, reduceOnce(v128.add<u32>(b1, b3), q2))
      v128.store(at2, multiplyShoup(v128.add<u32>(v128.sub<u32>(b0, b2), q2), w, wq, q1))
      v128.store(at3, multiplyShoup(v128.add<u32>(v128.sub<u32>(b1, b3), q2), w, wq, q1))
    }
  }
}

/** The stage of two groups, when the number of stages leaves it over. */
function inverseSinglePair(values: usize, table: usize, quotients: usize, half: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const q2 = i32x4.splat(q << 1)
  const distance = <usize>half << 2
  for (let group = 0; group < 2; group++) {
    const root = table + (<usize>(2 + group) << 2)
    const w = v128.load32_splat(root)
    const wq = v128.load32_splat(root + quotients)
    const start = values + <usize>group * (distance << 1)
    const end = start + distance
    for (let at = start; at < end; at += 16) {
      const x = v128.load(at)
      const y = v128.load(at + distance)
      v128.store(at, reduceOnce(v128.add<u32>(x, y), q2))
      v128.store(at + distance, multiplyShoup(v128.add<u32>(v128.sub<u32>(x, y), q2), w, wq, q1))
    }
  }
}

/** The stage of one group, the division by the size, and the full reduction. */
function inverseLast(
  values: usize,
  half: i32,
  q: u32,
  inverseSize: u32,
  inverseQuotient: u32,
  last: u32,
  lastQuotient: u32,
): void {
  const q1 = i32x4.splat(q)
  const q2 = i32x4.splat(q << 1)
  const n = i32x4.splat(inverseSize)
  const nq = i32x4.splat(inverseQuotient)
  const w = i32x4.splat(last)
  const wq = i32x4.splat(lastQuotient)
  const distance = <usize>half << 2
  const end = values + distance
  for (let at = values; at < end; at += 16) {
    const x = v128.load(at)
    const y = v128.load(at + distance)
    v128.store(at, reduceOnce(multiplyShoup(v128.add<u32>(x, y), n, nq, q1), q1))
    v128.store(
      at + distance,
      reduceOnce(multiplyShoup(v128.add<u32>(v128.sub<u32>(x, y), q2), w, wq, q1), q1),
    )
  }
}

function forwardPlain(values: usize, table: usize, quotients: usize, size: i32, q: u32): void {
  for (let groups: i32 = 1, half = size >> 1; groups < size; groups <<= 1, half >>= 1) {
    for (let group = 0; group < groups; group++) {
      const w: u64 = load<u32>(table + (<usize>(groups + group) << 2))
      for (let j = 2 * half * group; j < 2 * half * group + half; j++) {
        const first = values + (<usize>j << 2)
        const second = first + (<usize>half << 2)
        const x = load<u32>(first)
        const t = <u32>((load<u32>(second) * w) % q)
        store<u32>(first, (x + t) % q)
        store<u32>(second, (x + q - t) % q)
      }
    }
  }
}

function inversePlain(values: usize, table: usize, quotients: usize, size: i32, q: u32): void {
  for (let groups = size >> 1, half: i32 = 1; groups >= 1; groups >>= 1, half <<= 1) {
    for (let group = 0; group < groups; group++) {
      const w: u64 = load<u32>(table + (<usize>(groups + group) << 2))
      for (let j = 2 * half * group; j < 2 * half * group + half; j++) {
        const first = values + (<usize>j << 2)
        const second = first + (<usize>half << 2)
        const x = load<u32>(first)
        const y = load<u32>(second)
        store<u32>(first, (x + y) % q)
        store<u32>(second, <u32>(((x + q - y) * w) % q))
      }
    }
  }
}

function scalePlain(values: usize, size: i32, q: u32, factor: u32): void {
  for (let i = 0; i < size; i++) {
    const at = values + (<usize>i << 2)
    store<u32>(at, <u32>((<u64>load<u32>(at) * factor) % q))
  }
}
