/** An answer as it went out, to the last byte. */
export interface SentAnswer {
  readonly jsonBytes: number
  readonly body: Buffer
}

/** An answer that is kept for as long as there is room. */
export interface KeptAnswer {
  answer?: SentAnswer
}

/**
 * The room that all inferences together have for answers to earlier rounds: large ones, which hardly anybody
 * asks for.
 */
export class ReplyCache {
  readonly #maxBytes: number
  /** In the order of their coming. */
  readonly #kept = new Set<KeptAnswer>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Keeps an answer; the oldest go until there is room. */
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
