import { counted } from '../../text/counted.ts'
import { errorText, secondsText } from '../../text/units.ts'
import { table } from '../output/table.ts'
import type { Evaluated } from './evaluate.ts'
import type { Accuracy, ClassCount } from './figures.ts'
import type { Share } from './wilson.ts'

/** Classes up to which the whole matrix of confusions is shown, and lines of longer tables. */
const MOST_SHOWN = 20
/** Characters of a column's name. */
const NAME_WIDTH = 10

export interface AccuracyNames {
  /** Name of the class with an index. */
  readonly nameOf: (index: number) => string
  readonly topK: number
  /** What computed the answers in the clear, where something did. */
  readonly clearBy: string | undefined
}

/** The figures for people: accuracies, agreement, confusions and classes. */
export function accuracyText(found: Evaluated, names: AccuracyNames): string {
  const sides = sidesOf(found, names)
  return [
    accuracyTable(sides, found.classes.length, names.topK),
    ...agreementLines(found),
    ...sides.flatMap((side) => confusionText(side, found.classes, names)),
    '',
    classTable(found.classes, names),
  ].join('\n')
}

interface NamedSide {
  readonly key: 'clear' | 'encrypted'
  readonly name: string
  readonly accuracy: Accuracy
}

const sidesOf = ({ clear, encrypted }: Evaluated, { clearBy }: AccuracyNames): NamedSide[] => [
  ...(clear ? [{ key: 'clear' as const, name: `in the clear (${clearBy})`, accuracy: clear }] : []),
  ...(encrypted
    ? [{ key: 'encrypted' as const, name: `encrypted (${encrypted.by})`, accuracy: encrypted }]
    : []),
]

function accuracyTable(sides: readonly NamedSide[], classes: number, k: number): string {
  // Among all classes the true one is always found.
  const withTopK = k > 1 && k < classes
  const heading = ['', 'images', 'top-1', '95 % interval', ...(withTopK ? [`top-${k}`, '95 % interval'] : [])]
  const rows = sides.map(({ name, accuracy: { images, top1, topK, outOfRange } }) => [
    name,
    String(images),
    ...shareCells(top1),
    ...(withTopK ? shareCells(topK) : []),
    String(outOfRange),
  ])
  return table([[...heading, 'out of range'], ...rows], 1)
}

const shareCells = ({ value, low, high }: Share): string[] => [
  percent(value),
  `${percent(low)} to ${percent(high)}`,
]

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`

const agreementLines = ({ agreement, encrypted }: Evaluated): string[] => [
  ...(agreement
    ? [
        '',
        `same label in the clear and encrypted: ${agreement.sameLabel} of ${counted(agreement.images, 'image')}; ` +
          `largest difference of a logit ${errorText(agreement.maxAbsError)}, RMS ${errorText(agreement.rmsError)}`,
      ]
    : []),
  ...(encrypted ? [`an encrypted image takes ${secondsText(encrypted.secondsPerImage)}`] : []),
]

/** The matrix of few classes, or the most frequent confusions of many. */
function confusionText(
  { key, name, accuracy: { confusions } }: NamedSide,
  classes: Evaluated['classes'],
  names: AccuracyNames,
): string[] {
  if (confusions.length === 0) return ['', `${name}: every answer is right`]
  if (classes.length > MOST_SHOWN)
    return ['', `${name}: confusions`, pairTable(confusions, names), ...more(confusions)]
  const counts = classes.map((each) => each[key]!)
  return ['', `${name}: true classes in rows, answers in columns`, matrix(confusions, counts, names)]
}

const more = ({ length }: Accuracy['confusions']): string[] =>
  length > MOST_SHOWN ? [`${length - MOST_SHOWN} more pairs: --json has all`] : []

const OUT_OF_RANGE = 'none'

const pairTable = (confusions: Accuracy['confusions'], { nameOf }: AccuracyNames): string =>
  table(
    [
      ['class', 'answer', 'images'],
      ...confusions
        .slice(0, MOST_SHOWN)
        .map(({ truth, answer, images }) => [
          nameOf(truth),
          answer === null ? OUT_OF_RANGE : nameOf(answer),
          String(images),
        ]),
    ],
    2,
  )

function matrix(
  confusions: Accuracy['confusions'],
  counts: readonly ClassCount[],
  { nameOf }: AccuracyNames,
): string {
  const answers: (number | null)[] = [...counts.keys()]
  if (confusions.some(({ answer }) => answer === null)) answers.push(null)
  const cell = (truth: number, answer: number | null): number => {
    if (truth === answer) return counts[truth].correct
    return confusions.find((each) => each.truth === truth && each.answer === answer)?.images ?? 0
  }
  const heading = answers.map((answer) =>
    answer === null ? OUT_OF_RANGE : nameOf(answer).slice(0, NAME_WIDTH),
  )
  const rows = counts.map((_, truth) => [
    nameOf(truth),
    ...answers.map((answer) => String(cell(truth, answer))),
  ])
  return table([['', ...heading], ...rows], 1)
}

/** Classes that have images; of many only the worst. */
function classTable(classes: Evaluated['classes'], { nameOf }: AccuracyNames): string {
  const rows = classes.flatMap(({ clear, encrypted }, index) =>
    (clear ?? encrypted)?.images ? [{ index, clear, encrypted }] : [],
  )
  const isShort = rows.length <= MOST_SHOWN
  const shown = isShort ? rows : rows.toSorted((a, b) => accuracyIn(a) - accuracyIn(b)).slice(0, MOST_SHOWN)
  const sides = (['clear', 'encrypted'] as const).filter((side) => rows.some((row) => row[side]))
  const heading = sides.flatMap((side) =>
    side === 'clear' ? ['images', 'clear'] : ['encrypted images', 'right'],
  )
  const cells = shown.map((row) => [nameOf(row.index), ...sides.flatMap((side) => countCells(row[side]))])
  const rest = isShort ? [] : [`The ${MOST_SHOWN} worst of ${rows.length} classes are shown: --json has all`]
  return [table([['class', ...heading], ...cells], 1), ...rest].join('\n')
}

const accuracyIn = ({ clear, encrypted }: Evaluated['classes'][number]): number => {
  const { correct, images } = (clear ?? encrypted)!
  return correct / images
}

const countCells = ({ images, correct } = { images: 0, correct: 0 }): string[] => [
  String(images),
  images === 0 ? '-' : percent(correct / images),
]
