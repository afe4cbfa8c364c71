/** The bytes of an answer that was sent. */
export interface SentAnswer {
  readonly jsonBytes: number
  readonly body: Buffer
}

/** An entry of the cache; `answer` is undefined once it has been evicted. */
export interface KeptAnswer {
  answer?: SentAnswer
}

/**
 * Cache of the outputs of rounds that are over, shared by all inferences. A client asks for one again only
 * after a network failure, so memory is limited and the oldest are evicted.
 */
export class ReplyCache {
  readonly #maxBytes: number
  /** Entries, the oldest first. */
  readonly #kept = new Set<KeptAnswer>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Adds an answer and evicts the oldest entries until all fit. */
  keep(answer: SentAnswer): KeptAnswer {
    const kept: KeptAnswer = { answer }
    this.#kept.add(kept)
    this.#bytes += answer.body.length
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.#maxBytes) break
      this.drop(oldest)
    }
    return kept
  }

  drop(kept: KeptAnswer): void {
    if (!this.#kept.delete(kept)) return
    this.#bytes -= kept.answer?.body.length ?? 0
    kept.answer = undefined
  }
}
