/** Overwrites bytes with zeros. */
export function clear(start: usize, bytes: usize): void {
  memory.fill(start, 0, bytes)
}
