/**
 * out = round(values * scale) mod q, exactly: a double is an integer times a power of two.
 *
 * @param values `size` finite doubles
 */
export function reduceDoubles(out: usize, values: usize, scale: f64, size: i32, q: u32): void {
  for (let i = 0; i < size; i++) {
    const value = nearest(load<f64>(values + (<usize>i << 3)) * scale)
    store<u32>(out + (<usize>i << 2), reduceDouble(value, q))
  }
}

function reduceDouble(value: f64, q: u32): u32 {
  // Fast path without division: most values are weights, which are smaller than any prime.
  if (abs(value) < <f64>q) return value < 0 ? q - <u32>abs(value) : <u32>value
  const bits = reinterpret<u64>(value)
  const exponent = <i32>((bits >> 52) & 0x7ff) - 1075
  let residue: u64
  if (exponent <= 0) {
    // Below 2^53 in absolute value, so that the conversion is exact.
    residue = <u64>abs(value) % q
  } else {
    residue = ((bits & 0xfffffffffffff) | 0x10000000000000) % q
    for (let left = exponent; left > 0; left -= 32) residue = (residue << <u64>min(left, 32)) % q
  }
  return <u32>(value < 0 && residue != 0 ? q - residue : residue)
}

/**
 * out = round(values * scale) mod q, by the same instructions for all values, for messages that are secret.
 *
 * @param values `size` doubles; |value * scale| is at most 2^52
 * @param q below 2^30
 */
export function reduceMessage(out: usize, values: usize, scale: f64, size: i32, q: u32): void {
  const modulus = <f64>q
  const inverse = 1 / modulus
  for (let i = 0; i < size; i++) {
    const value = nearest(load<f64>(values + (<usize>i << 3)) * scale)
    // All products are integers below 2^53, so they are exact. The remainder lies within about half of q.
    const remainder = <i32>(value - nearest(value * inverse) * modulus)
    store<u32>(out + (<usize>i << 2), <u32>(remainder + ((remainder >> 31) & <i32>q)))
  }
}
