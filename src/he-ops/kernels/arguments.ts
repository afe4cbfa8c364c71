/**
 * The fields of each kernel's arguments, in the order of its parameters in `assembly/`, whose docstrings say
 * what each field means. This table is the only place where the order counts: callers name the fields.
 */
export const KERNEL_FIELDS = {
  add: ['out', 'a', 'b', 'size', 'q'],
  addBlocks: ['out', 'a', 'w', 'shift', 'size', 'q'],
  binomial: ['out', 'source', 'size'],
  clear: ['start', 'bytes'],
  copy: ['out', 'a', 'size'],
  dot: [
    'out',
    'blockTerms',
    'blockCount',
    'vectorTerms',
    'vectorCount',
    'from',
    'length',
    'q',
    'inverse',
    'chunk',
    'bias',
  ],
  dotPermuted: [
    'out',
    'blockTerms',
    'blockCount',
    'vectorTerms',
    'vectorCount',
    'size',
    'q',
    'inverse',
    'chunk',
    'table',
    'patterns',
  ],
  dotShared: [
    'outs',
    'sums',
    'inputs',
    'terms',
    'weights',
    'shift',
    'from',
    'length',
    'q',
    'inverse',
    'chunk',
    'scratch',
  ],
  exactQuotients: ['out', 'y', 'stride', 'count', 'table', 'size'],
  expand: [
    'out',
    'stride',
    'integers',
    'count',
    'size',
    'kept',
    'bias',
    'w',
    'quotient',
    'table',
    'quotients',
    'q',
  ],
  expandDoubles: ['out', 'values', 'size', 'kept', 'table', 'quotients', 'q'],
  fetch: ['out', 'from', 'units'],
  multiplyPairs: ['out0', 'out1', 'out2', 'a0', 'a1', 'b0', 'b1', 'size', 'q', 'inverse', 'square'],
  nttForward: ['values', 'table', 'quotients', 'size', 'q'],
  nttInverse: [
    'values',
    'table',
    'quotients',
    'size',
    'q',
    'inverseSize',
    'inverseQuotient',
    'last',
    'lastQuotient',
  ],
  pack: ['out', 'source', 'bits', 'size'],
  permute: ['out', 'a', 'table', 'patterns', 'size'],
  quotients: ['out', 'y', 'stride', 'count', 'reciprocals', 'size'],
  random: ['address', 'bytes'],
  reduce: ['out', 'a', 'bias', 'size', 'q'],
  reduceDoubles: ['out', 'values', 'scale', 'size', 'q'],
  reduceMessage: ['out', 'values', 'scale', 'size', 'q'],
  residues: ['out', 'source', 'size', 'q'],
  scale: ['out', 'a', 'bias', 'w', 'quotient', 'size', 'q'],
  scatter: ['out', 'values', 'stride', 'count'],
  streamChunk: ['out', 'seed', 'counter', 'scratch'],
  subtract: ['out', 'a', 'b', 'size', 'q'],
  subtractScale: ['out', 'a', 'b', 'w', 'quotient', 'size', 'q'],
  ternary: ['out', 'source', 'size'],
  uniform: ['out', 'seed', 'firstChunk', 'size', 'q', 'scratch'],
  uniformNoted: ['out', 'seed', 'firstChunk', 'size', 'q', 'scratch', 'rejected'],
  unpack: ['out', 'source', 'bits', 'size', 'q'],
  unpackNoted: ['out', 'source', 'bits', 'size', 'q', 'sound'],
} as const satisfies Readonly<Record<string, readonly string[]>>

export type KernelName = keyof typeof KERNEL_FIELDS

/** A kernel's arguments by name. A missing or misspelt field does not compile. */
export type KernelArguments<K extends KernelName> = {
  readonly [Field in (typeof KERNEL_FIELDS)[K][number]]: number
}

/**
 * Writes a kernel's arguments in the order of its parameters, from `words[at]` on. Programs have millions of
 * calls: arguments whose fields are in the table's order, as literals should have them, are enumerated, which
 * is several times faster than looking up each field by its name.
 */
export function writeArguments<K extends KernelName>(
  words: Int32Array | Float64Array,
  at: number,
  kernel: K,
  args: KernelArguments<K>,
): void {
  const fields: readonly string[] = KERNEL_FIELDS[kernel]
  const values: Readonly<Record<string, number>> = args
  let i = 0
  for (const field in values) {
    if (field !== fields[i]) {
      writeByName(words, at, fields, values)
      return
    }
    words[at + i] = values[field]
    i++
  }
}

function writeByName(
  words: Int32Array | Float64Array,
  at: number,
  fields: readonly string[],
  values: Readonly<Record<string, number>>,
): void {
  fields.forEach((field, i) => {
    words[at + i] = values[field]
  })
}
