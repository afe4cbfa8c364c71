/** The bytes of an answer that was sent. */
export interface SentAnswer {
  readonly jsonBytes: number
  readonly body: Buffer
}

/** An entry of the cache; `answer` is undefined once it has been evicted. */
export interface KeptAnswer {
  answer?: SentAnswer
}

/** What an inference uses of the cache. */
export type AnswerMemory = Pick<ReplyCache, 'keep' | 'drop'>

/**
 * Cache of answers that clients may still fetch, shared by all inferences. Memory is limited. The holder that
 * takes most of it loses its oldest answers first, so that one client cannot displace the answers of others.
 */
export class ReplyCache {
  readonly #maxBytes: number
  /** Entries and their holders, the oldest first. */
  readonly #kept = new Map<KeptAnswer, string>()
  readonly #bytesOf = new Map<string, number>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Adds an answer and evicts entries until all fit. */
  keep(answer: SentAnswer, holder = ''): KeptAnswer {
    const kept: KeptAnswer = { answer }
    this.#kept.set(kept, holder)
    this.#add(holder, answer.body.length)
    while (this.#bytes > this.#maxBytes) this.drop(this.#next())
    return kept
  }

  drop(kept: KeptAnswer): void {
    const holder = this.#kept.get(kept)
    if (holder === undefined) return
    this.#kept.delete(kept)
    this.#add(holder, -(kept.answer?.body.length ?? 0))
    kept.answer = undefined
  }

  /** The cache for the inferences of one holder. */
  of(holder: string): AnswerMemory {
    return { keep: (answer) => this.keep(answer, holder), drop: (kept) => this.drop(kept) }
  }

  /** The entry to evict next. The cache is not empty. */
  #next(): KeptAnswer {
    const [[greatest]] = [...this.#bytesOf].sort(([, a], [, b]) => b - a)
    const [oldest] = [...this.#kept].find(([, holder]) => holder === greatest)!
    return oldest
  }

  #add(holder: string, bytes: number): void {
    this.#bytes += bytes
    const left = (this.#bytesOf.get(holder) ?? 0) + bytes
    if (left > 0) this.#bytesOf.set(holder, left)
    else this.#bytesOf.delete(holder)
  }
}
