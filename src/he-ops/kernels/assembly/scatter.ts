/** out[i * stride] = values[i] for i below `count`. @param stride in words */
export function scatter(out: usize, values: usize, stride: i32, count: i32): void {
  const step = <usize>stride << 2
  let target = out
  for (let at = values; at < values + (<usize>count << 2); at += 4) {
    store<u32>(target, load<u32>(at))
    target += step
  }
}
