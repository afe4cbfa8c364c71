import { compare } from '../comparison.ts'
import type { Answer, Prediction } from './prediction.ts'
import { type Share, wilson } from './wilson.ts'

/** Figures of the answers of one side. */
export interface Accuracy {
  readonly images: number
  /** The true class is the best one. */
  readonly top1: Share
  /** The true class is among the best k. */
  readonly topK: Share
  /** Images without an answer, which count as wrong. */
  readonly outOfRange: number
  /** Wrong answers, the most frequent first. */
  readonly confusions: readonly Confusion[]
}

export interface Confusion {
  /** Index of the true class. */
  readonly truth: number
  /** Index of the class of the answer; null when the image left the range. */
  readonly answer: number | null
  readonly images: number
}

/** @param k from which on a place among the classes is too late for `topK` */
export function accuracyOf(predictions: readonly Prediction[], k: number): Accuracy {
  const images = predictions.length
  const within = (limit: number): number => predictions.filter(({ place }) => place < limit).length
  return {
    images,
    top1: wilson(within(1), images),
    topK: wilson(within(k), images),
    outOfRange: predictions.filter(({ best }) => best === undefined).length,
    confusions: confusionsOf(predictions),
  }
}

function confusionsOf(predictions: readonly Prediction[]): Confusion[] {
  const counts = new Map<string, { truth: number; answer: number | null; images: number }>()
  for (const { truth, best } of predictions.filter(({ place }) => place > 0)) {
    const key = `${truth},${best}`
    const before = counts.get(key) ?? { truth, answer: best ?? null, images: 0 }
    counts.set(key, { ...before, images: before.images + 1 })
  }
  const order = ({ answer }: Confusion): number => answer ?? Number.POSITIVE_INFINITY
  return [...counts.values()].sort(
    (a, b) => b.images - a.images || a.truth - b.truth || (order(a) < order(b) ? -1 : 1),
  )
}

/** Images of one class, and how many of them are right. */
export interface ClassCount {
  readonly images: number
  readonly correct: number
}

/** For each class, by index. */
export function classCounts(predictions: readonly Prediction[], classes: number): ClassCount[] {
  const counts = Array.from({ length: classes }, () => ({ images: 0, correct: 0 }))
  for (const { truth, place } of predictions) {
    counts[truth].images++
    if (place === 0) counts[truth].correct++
  }
  return counts
}

/** What both sides say about one image. */
export interface Pair {
  readonly clear: Answer
  readonly encrypted: Answer
}

/** How the answers under encryption agree with those in the clear. */
export interface Agreement {
  readonly images: number
  /** Images to which both sides give the same best class. */
  readonly sameLabel: number
  /** Differences of logits, over the images that both sides answer; NaN without any. */
  readonly maxAbsError: number
  readonly rmsError: number
}

export function agreementOf(pairs: readonly Pair[]): Agreement {
  const answered = pairs.flatMap(({ clear, encrypted }) =>
    clear.best !== undefined && encrypted.best !== undefined ? [[clear, encrypted] as const] : [],
  )
  const { maxAbsError, rmsError } = compare(
    answered.map(([, { logits }]) => logits!),
    answered.map(([{ logits }]) => logits!),
  )
  const sameLabel = answered.filter(([clear, encrypted]) => clear.best === encrypted.best).length
  return { images: pairs.length, sameLabel, maxAbsError, rmsError }
}
