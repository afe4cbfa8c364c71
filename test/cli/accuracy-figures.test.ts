import t from 'tap'
import type { Evaluated } from '../../src/cli/accuracy/evaluate.ts'
import { accuracyOf, agreementOf, classCounts } from '../../src/cli/accuracy/figures.ts'
import { answerOf } from '../../src/cli/accuracy/prediction.ts'
import { spread } from '../../src/cli/accuracy/spread.ts'
import { accuracyText } from '../../src/cli/accuracy/text.ts'
import { wilson } from '../../src/cli/accuracy/wilson.ts'

t.test('the interval is that of Wilson', async (t) => {
  // From Newcombe, "Two-sided confidence intervals for the single proportion", table I, method 3.
  const published: [count: number, trials: number, low: number, high: number][] = [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ]
  for (const [count, trials, low, high] of published) {
    const share = wilson(count, trials)
    t.match(share, { count, value: count / trials })
    t.ok(Math.abs(share.low - low) < 5.1e-5 && Math.abs(share.high - high) < 5.1e-5, `${count} of ${trials}`)
    const wrong = wilson(trials - count, trials)
    t.ok(Math.abs(wrong.low + share.high - 1) < 1e-12, 'symmetric')
  }
  t.equal(wilson(20, 20).high, 1)
})

t.test('a part is spread evenly', async (t) => {
  const items = Array.from({ length: 10 }, (_, k) => k)
  t.strictSame(spread(items, 5), [1, 3, 5, 7, 9])
  t.strictSame(spread(items, 3), [1, 5, 8])
  t.strictSame(spread(items, 1), [5])
  t.strictSame(spread(items, 0), [])
  for (const count of [10, 11, Number.POSITIVE_INFINITY]) t.strictSame(spread(items, count), items)
  for (let count = 1; count < 10; count++) t.equal(new Set(spread(items, count)).size, count)
})

const row = (...logits: number[]): Float64Array => Float64Array.from(logits)

t.test('answers are counted by place; no answer and infinite logits are wrong', async (t) => {
  const answers = [
    answerOf(row(3, 2, 1), 0),
    answerOf(row(3, 2, 1), 1),
    answerOf(row(3, 2, 1), 2),
    answerOf(row(0, 9, 1), 2),
    answerOf(row(0, 9, 1), 2),
    answerOf(undefined, 2),
    answerOf(row(0, Number.NaN, 1), 2),
    answerOf(row(5, 5, 1), 1),
  ]
  t.strictSame(
    answers.map(({ best }) => best),
    [0, 0, 0, 1, 1, undefined, undefined, 0],
    'among equal logits the first class is best',
  )
  t.ok(Math.abs(answers[0].score! - 1 / (1 + Math.exp(-1) + Math.exp(-2))) < 1e-12)
  t.match(accuracyOf(answers, 2), {
    images: 8,
    top1: { count: 1, value: 1 / 8 },
    topK: { count: 5, value: 5 / 8 },
    outOfRange: 2,
    confusions: [
      { truth: 1, answer: 0, images: 2 },
      { truth: 2, answer: 1, images: 2 },
      { truth: 2, answer: null, images: 2 },
      { truth: 2, answer: 0, images: 1 },
    ],
  })
  t.strictSame(classCounts(answers, 4), [
    { images: 1, correct: 1 },
    { images: 2, correct: 0 },
    { images: 5, correct: 0 },
    { images: 0, correct: 0 },
  ])
})

t.test('agreement is of labels, and of the logits of images that both sides answer', async (t) => {
  const pairs = [
    { clear: answerOf(row(3, 2), 0), encrypted: answerOf(row(3.5, 2), 0) },
    { clear: answerOf(row(3, 2), 0), encrypted: answerOf(row(2, 3), 0) },
    { clear: answerOf(row(3, 2), 0), encrypted: answerOf(undefined, 0) },
    { clear: answerOf(undefined, 0), encrypted: answerOf(undefined, 0) },
  ]
  const found = agreementOf(pairs)
  t.match(found, { images: 4, sameLabel: 1, maxAbsError: 1 })
  t.ok(Math.abs(found.rmsError - Math.sqrt((0.25 + 0 + 1 + 1) / 4)) < 1e-12)
  t.ok(Number.isNaN(agreementOf(pairs.slice(2)).maxAbsError))
})

t.test('the text of many classes has pairs of confused ones and the worst classes', async (t) => {
  const CLASSES = 30
  const answers = Array.from({ length: CLASSES }, (_, truth) => {
    const logits = new Float64Array(CLASSES)
    // Two classes are always taken for others.
    logits[truth < 2 ? truth + 2 : truth] = 1
    return answerOf(logits, truth)
  })
  const clear = classCounts(answers, CLASSES)
  const found: Evaluated = {
    clear: accuracyOf(answers, 5),
    classes: clear.map((each) => ({ clear: each })),
    predictions: { clear: new Map(), encrypted: new Map() },
  }
  const text = accuracyText(found, { nameOf: (index) => `class ${index}`, topK: 5, clearBy: 'circuit' })
  t.match(text, /in the clear \(circuit\) +30 +93\.3 % +78\.7 % to 98\.2 %/)
  t.match(text, /\nclass +answer +images\nclass 0 +class 2 +1\nclass 1 +class 3 +1\n\n/)
  t.match(text, /\nclass 0 +1 +0\.0 %\nclass 1 +1 +0\.0 %\nclass 2 +1 +100\.0 %\n/)
  t.match(text, /The 20 worst of 30 classes are shown/)
  t.notMatch(text, 'encrypted')
})
