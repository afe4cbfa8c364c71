/**
 * Groups pieces of work by their inputs: the connected components of the graph in which two pieces that share
 * an input are linked. Groups, and pieces within them, keep their order.
 */
export function byInputs<W, I>(work: readonly W[], inputsOf: (piece: W) => readonly I[]): W[][] {
  /** Union-find: for each piece an earlier one of its group, or itself for the first one. */
  const earlier = work.map((_, i) => i)
  const first = (piece: number): number => {
    let at = piece
    while (earlier[at] !== at) {
      // Path halving.
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
