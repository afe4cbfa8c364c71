/** A block of lines to repeat: its indentation, names, rows and body. */
const BLOCK = /^( *)\/\/ #each ([^=\n]+) =(.*(?:\n *\/\/ {3}.*)*)\n([\s\S]*?)\n\1\/\/ #end$/gm

/**
 * Unrolls the loops of AssemblyScript source. The compiler has no arrays of local variables, so a state of
 * sixteen words in registers needs sixteen names. The source writes such lines once,
 *
 *     // #each a, b = 0, 4;  1, 5
 *       v$a += v$b
 *     // #end
 *
 * and the result has them once for each row, with the row's values in place of `$a` and `$b`. Rows are
 * separated by semicolons, or stand on lines of their own that begin with three spaces. Blocks may be nested;
 * the inner one is indented further.
 *
 * @throws when a row does not have a value for each name, or a block does not end
 */
export function unroll(source: string): string {
  const unrolled = source.replaceAll(BLOCK, (_, _indent, names: string, rows: string, body: string) =>
    rowsOf(rows)
      .map((values) => unroll(filled(body, names.split(','), values)))
      .join('\n'),
  )
  if (/\/\/ #(each|end)/.test(unrolled)) throw new Error('A block of lines to be unrolled does not end')
  return unrolled
}

const rowsOf = (text: string): string[][] =>
  text
    .split(/;|\n *\/\//)
    .map((row) => row.trim())
    .filter((row) => row !== '')
    .map((row) => row.split(',').map((value) => value.trim()))

/** The body with the values in place of the names. Names of outer and inner blocks stay. */
function filled(body: string, names: readonly string[], values: readonly string[]): string {
  if (names.length !== values.length) {
    throw new Error(`A row has ${values.length} values, not one for each of:${names.join()}`)
  }
  const byName = new Map(names.map((name, i) => [name.trim(), values[i]]))
  return body.replaceAll(/\$([a-z]+)/g, (variable, name: string) => byName.get(name) ?? variable)
}
