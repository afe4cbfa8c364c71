import type { z } from 'zod'
import { invalidConfig } from './invalid-config.ts'

/**
 * CONFIG_INVALID for the first fault that a schema found. An unknown key is named together with the known key
 * of the most similar spelling.
 *
 * @param knownKeys the keys that an object may have, by its path
 */
export function invalidBySchema(
  [issue]: readonly z.core.$ZodIssue[],
  knownKeys: Readonly<Record<string, readonly string[]>>,
): Error {
  const path = issue.path.join('.')
  if (issue.code !== 'unrecognized_keys') return invalidConfig(path, issue.message)
  const known = knownKeys[path] ?? []
  const [key] = issue.keys
  const near = nearest(key, known)
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`
  return invalidConfig([...issue.path, key.slice(0, 80)].join('.'), `no such field; ${hint}`)
}

/** The known name that takes the fewest changes; undefined where none is similar. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  const short = plain(name.slice(0, 80))
  const distances = known.map((candidate) => changes(short, plain(candidate)))
  const least = Math.min(...distances)
  return least <= Math.max(1, Math.floor(short.length / 3)) ? known[distances.indexOf(least)] : undefined
}

/** Characters to insert, delete, replace or exchange with their neighbour (optimal string alignment). */
function changes(a: string, b: string): number {
  let [before, row] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isExchange = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const exchanged = isExchange ? before[j - 2] + 1 : Infinity
      next.push(Math.min(replaced, exchanged, row[j] + 1, next[j - 1] + 1))
    }
    ;[before, row] = [row, next]
  }
  return row[b.length]
}
