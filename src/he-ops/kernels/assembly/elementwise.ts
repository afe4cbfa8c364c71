import { multiplyMontgomery, multiplyShoup, reduceMontgomery, reduceOnce } from './vector'

// Operations on polynomials modulo one prime q, residue by residue. `size` is the number of residues, a
// multiple of four; inputs and outputs are below q; an output may be one of the inputs.

/** out = a + b */
export function add(out: usize, a: usize, b: usize, size: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const end = <usize>size << 2
  for (let at: usize = 0; at < end; at += 16) {
    v128.store(out + at, reduceOnce(v128.add<u32>(v128.load(a + at), v128.load(b + at)), q1))
  }
}

/** out = a - b */
export function subtract(out: usize, a: usize, b: usize, size: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const end = <usize>size << 2
  for (let at: usize = 0; at < end; at += 16) {
    const difference = v128.sub<u32>(v128.add<u32>(v128.load(a + at), q1), v128.load(b + at))
    v128.store(out + at, reduceOnce(difference, q1))
  }
}

/**
 * out[r] = a[r] + w[r >> shift]: addition of a plaintext that is kept as runs of equal residues. Shift 0 is a
 * full plaintext; otherwise shift >= 2.
 */
export function addBlocks(out: usize, a: usize, w: usize, shift: i32, size: i32, q: u32): void {
  if (shift == 0) {
    add(out, a, w, size, q)
    return
  }
  const q1 = i32x4.splat(q)
  for (let r = 0; r < size; r += 4) {
    const at = <usize>r << 2
    const addend = v128.load32_splat(w + (<usize>(r >> shift) << 2))
    v128.store(out + at, reduceOnce(v128.add<u32>(v128.load(a + at), addend), q1))
  }
}

/**
 * out = (a + bias) * w mod q.
 *
 * @param quotient floor(w * 2^32 / q)
 */
export function scale(out: usize, a: usize, bias: u32, w: u32, quotient: u32, size: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const b = i32x4.splat(bias)
  const w1 = i32x4.splat(w)
  const wq = i32x4.splat(quotient)
  const end = <usize>size << 2
  for (let at: usize = 0; at < end; at += 16) {
    const sum = v128.add<u32>(v128.load(a + at), b)
    v128.store(out + at, reduceOnce(multiplyShoup(sum, w1, wq, q1), q1))
  }
}

/** out = (a - b) * w mod q; `quotient` as for `scale`. */
export function subtractScale(
  out: usize,
  a: usize,
  b: usize,
  w: u32,
  quotient: u32,
  size: i32,
  q: u32,
): void {
  const q1 = i32x4.splat(q)
  const w1 = i32x4.splat(w)
  const wq = i32x4.splat(quotient)
  const end = <usize>size << 2
  for (let at: usize = 0; at < end; at += 16) {
    const difference = v128.sub<u32>(v128.add<u32>(v128.load(a + at), q1), v128.load(b + at))
    v128.store(out + at, reduceOnce(multiplyShoup(difference, w1, wq, q1), q1))
  }
}

/**
 * out = a + bias mod q, for residues modulo another prime: the base conversion from a single prime.
 *
 * @param a address of residues below 5 * q
 * @param bias below q
 */
export function reduce(out: usize, a: usize, bias: u32, size: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const q2 = i32x4.splat(q << 1)
  const b = i32x4.splat(bias)
  const end = <usize>size << 2
  for (let at: usize = 0; at < end; at += 16) {
    const sum = v128.add<u32>(v128.load(a + at), b)
    v128.store(out + at, reduceOnce(reduceOnce(reduceOnce(sum, q2), q2), q1))
  }
}

/**
 * The product of two ciphertexts of two polynomials modulo one prime: (a0 b0, a0 b1 + a1 b0, a1 b1).
 *
 * @param inverse q^-1 mod 2^32
 * @param square 2^64 mod q, which compensates the two Montgomery reductions
 */
export function multiplyPairs(
  out0: usize,
  out1: usize,
  out2: usize,
  a0: usize,
  a1: usize,
  b0: usize,
  b1: usize,
  size: i32,
  q: u32,
  inverse: u32,
  square: u32,
): void {
  const q1 = i32x4.splat(q)
  const qi = i32x4.splat(inverse)
  const sq = i32x4.splat(square)
  const end = <usize>size << 2
  for (let at: usize = 0; at < end; at += 16) {
    const x0 = v128.load(a0 + at)
    const x1 = v128.load(a1 + at)
    // b in Montgomery form: b * 2^64 / 2^32.
    const y0 = multiplyMontgomery(v128.load(b0 + at), sq, q1, qi)
    const y1 = multiplyMontgomery(v128.load(b1 + at), sq, q1, qi)
    const low = v128.add<u64>(i64x2.extmul_low_i32x4_u(x0, y1), i64x2.extmul_low_i32x4_u(x1, y0))
    const high = v128.add<u64>(i64x2.extmul_high_i32x4_u(x0, y1), i64x2.extmul_high_i32x4_u(x1, y0))
    v128.store(out0 + at, multiplyMontgomery(x0, y0, q1, qi))
    v128.store(out1 + at, reduceMontgomery(low, high, q1, qi))
    v128.store(out2 + at, multiplyMontgomery(x1, y1, q1, qi))
  }
}

/**
 * out = floor(sum over i of y_i / q_i): the multiple of the product of the q_i that base conversion subtracts
 * (Halevi, Polyakov and Shoup, ePrint 2018/117, section 2.2). Single precision: next to an integer the result
 * may be off by one; the converted integer is then congruent, but larger or smaller by that product.
 *
 * @param y address of the first polynomial; the others follow `stride` bytes apart
 * @param reciprocals 1 / q_i as f32
 */
export function quotients(
  out: usize,
  y: usize,
  stride: usize,
  count: i32,
  reciprocals: usize,
  size: i32,
): void {
  const end = <usize>size << 2
  for (let at: usize = 0; at < end; at += 16) {
    let sum = f32x4.splat(0)
    let source = y + at
    for (let i = 0; i < count; i++) {
      const reciprocal = v128.load32_splat(reciprocals + (<usize>i << 2))
      sum = f32x4.add(sum, f32x4.mul(f32x4.convert_i32x4_u(v128.load(source)), reciprocal))
      source += stride
    }
    v128.store(out + at, i32x4.trunc_sat_f32x4_u(sum))
  }
}

/** out = a */
export function copy(out: usize, a: usize, size: i32): void {
  memory.copy(out, a, <usize>size << 2)
}
