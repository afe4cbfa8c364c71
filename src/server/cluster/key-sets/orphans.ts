import type { KeySetIndex } from '../../stores/key-set-index.ts'
import type { PieceFiles } from './piece-files.ts'

/**
 * Removes bytes of sets that have no record, such as those whose records Redis has lost. A set gets its
 * record before its bytes, and never another one, so that this does not meet uploads.
 *
 * @param before in milliseconds since 1970: only sets that have not changed since then are looked at. It
 *   should be as long ago as a key set lives, so that a service with a wrong Redis removes nothing of another
 *   one.
 * @returns the number of sets whose bytes were removed
 */
export async function removeOrphans(index: KeySetIndex, bytes: PieceFiles, before: number): Promise<number> {
  let removed = 0
  for await (const name of bytes.unchangedSince(before)) {
    if ((await index.get(name)) !== undefined) continue
    await bytes.remove(name)
    removed++
  }
  return removed
}
