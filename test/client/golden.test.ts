import t from 'tap'
import { casesOf } from '../support/thorough.ts'
import { type GoldenCase, testGolden } from './support/golden-service.ts'

// The golden networks of CPolyNeXt on the simd engine, by HTTP: the logits of plans with forced refreshes, of
// plans that the planner chose, and of one whose server restores levels.

await testGolden(
  t,
  casesOf<GoldenCase>(
    [
      ['one_shot', 'never'],
      ['one_shot', 'client'],
      ['micro_t', 'auto'],
      ['micro_t', 'client'],
      ['micro_s', 'client'],
      ['micro_lr', 'auto'],
      ['micro_lr', 'client'],
      ['micro_lr', 'server'],
    ],
    [
      ['one_shot', 'never'],
      ['one_shot', 'client'],
      ['micro_s', 'client'],
      ['micro_lr', 'client'],
    ],
  ),
)
