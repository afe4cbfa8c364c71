/**
 * A part of a list, evenly spread over it, so that images that are sorted by class are of all classes. The
 * same arguments give the same part.
 *
 * @param count of items; all when it is larger than the list
 */
export function spread<T>(items: readonly T[], count: number): T[] {
  if (count >= items.length) return [...items]
  return Array.from({ length: count }, (_, k) => items[Math.floor(((k + 0.5) * items.length) / count)])
}
