/**
 * Groups work by what it reads: pieces of two groups have no input in common, those of one are linked by
 * inputs they share, directly or through others. Groups, and pieces within them, keep their order.
 */
export function byInputs<W, I>(work: readonly W[], inputsOf: (piece: W) => readonly I[]): W[][] {
  /** For each piece an earlier one of its group, or itself where it is the first. */
  const earlier = work.map((_, i) => i)
  const first = (piece: number): number => {
    let at = piece
    while (earlier[at] !== at) {
      // Halves the way of whoever comes next.
      earlier[at] = earlier[earlier[at]]
      at = earlier[at]
    }
    return at
  }
  const readers = new Map<I, number>()
  work.forEach((piece, i) => {
    for (const input of inputsOf(piece)) {
      const [a, b] = [first(i), first(readers.get(input) ?? i)]
      earlier[Math.max(a, b)] = Math.min(a, b)
      readers.set(input, i)
    }
  })
  const groups = Map.groupBy(work.keys(), first)
  return [...groups.values()].map((pieces) => pieces.map((i) => work[i]))
}
