import type { KeySetRecord } from './key-set-record.ts'

/** Names of key sets whose records and bytes do not agree. */
export interface Disorder {
  readonly withoutBytes: readonly string[]
  /** The file is shorter than the record says. */
  readonly tooShort: readonly string[]
  /** The file has bytes beyond those that the record counts: a part that broke off. */
  readonly tooLong: readonly string[]
  readonly withoutRecord: readonly string[]
}

/**
 * Compares records with the lengths of their files.
 *
 * @param sizes lengths of files by name
 * @param leftAside names of sets whose records cannot be read; nothing is said of them
 */
export function disorderOf(
  records: ReadonlyMap<string, KeySetRecord>,
  sizes: ReadonlyMap<string, number>,
  leftAside: ReadonlySet<string>,
): Disorder {
  const uploaded = [...records].filter(([, { uploadOffset }]) => uploadOffset > 0)
  const names = (isSuch: (size: number | undefined, offset: number) => boolean, of = uploaded): string[] =>
    of.filter(([name, { uploadOffset }]) => isSuch(sizes.get(name), uploadOffset)).map(([name]) => name)
  return {
    withoutBytes: names((size) => size === undefined),
    tooShort: names((size, offset) => size !== undefined && size < offset),
    tooLong: names((size, offset) => size !== undefined && size > offset, [...records]),
    withoutRecord: [...sizes.keys()].filter((name) => !records.has(name) && !leftAside.has(name)),
  }
}
