/**
 * The names that a benchmark measures.
 *
 * @param list some of them, separated by commas; by default all
 * @throws when one of the list does not exist
 */
export function chosenNames(all: readonly string[], list: string | undefined): readonly string[] {
  if (list === undefined) return all
  const names = list.split(',')
  const unknown = names.find((name) => !all.includes(name))
  if (unknown !== undefined) throw new Error(`Nothing is called ${unknown}: ${all.join(', ')}`)
  return names
}
