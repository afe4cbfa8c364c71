import type { Classification } from '../../client/index.ts'
import { table } from './table.ts'

export const FULL_PRECISION_HELP =
  "logits as decrypted, not rounded to the plan's precision; publish them nowhere: their noise tells of the secret key"

/** Classes for people, best first. */
export const scoresText = (classes: readonly Classification[]): string =>
  table([
    ['class', 'score', 'logit'],
    ...classes.map(({ label, score, logit }) => [label, `${(100 * score).toFixed(2)} %`, logit.toFixed(4)]),
  ])
