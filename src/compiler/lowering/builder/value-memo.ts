import type { ValueId } from '../../../circuit/types.ts'

/** Memoises values that are derived from a source value and a number. */
export class ValueMemo {
  readonly #values: (Map<number, ValueId> | undefined)[] = []
  /** All entries in the order in which they were set, each with the number of operations then. */
  readonly #entries: { readonly source: ValueId; readonly detail: number; readonly end: number }[] = []

  get(source: ValueId, detail: number): ValueId | undefined {
    return this.#values[source]?.get(detail)
  }

  /**
   * @param id of the derived value, which may be older than the last operation
   * @param end number of operations so far
   */
  set(source: ValueId, detail: number, id: ValueId, end: number): void {
    this.#values[source] ??= new Map()
    this.#values[source].set(detail, id)
    this.#entries.push({ source, detail, end })
  }

  /** Forgets what was set when there were more than `length` operations. */
  truncate(length: number): void {
    for (
      let last = this.#entries.at(-1);
      last !== undefined && last.end > length;
      last = this.#entries.at(-1)
    ) {
      this.#values[last.source]!.delete(last.detail)
      this.#entries.pop()
    }
  }
}
