import type { ValueId } from '../../../circuit/types.ts'

/** Memoises values that are derived from a source value and a number. */
export class ValueMemo {
  readonly #values: (Map<number, ValueId> | undefined)[] = []
  /** All entries by ascending id of the derived value. */
  readonly #entries: { readonly source: ValueId; readonly detail: number; readonly id: ValueId }[] = []

  get(source: ValueId, detail: number): ValueId | undefined {
    return this.#values[source]?.get(detail)
  }

  /** @param id of the value that was appended last */
  set(source: ValueId, detail: number, id: ValueId): void {
    this.#values[source] ??= new Map()
    this.#values[source].set(detail, id)
    this.#entries.push({ source, detail, id })
  }

  /** Forgets all derived values with ids of `length` or more. */
  truncate(length: number): void {
    for (
      let last = this.#entries.at(-1);
      last !== undefined && last.id >= length;
      last = this.#entries.at(-1)
    ) {
      this.#values[last.source]!.delete(last.detail)
      this.#entries.pop()
    }
  }
}
