import t from 'tap'
import { casesOf } from '../support/thorough.ts'
import { type GoldenCase, testGolden } from './support/golden-service.ts'

// The golden networks of MONet on the simd engine, by HTTP: the logits of plans in one shot and with
// refreshes.

await testGolden(
  t,
  casesOf<GoldenCase>(
    [
      ['micro_monet', 'never'],
      ['micro_monet', 'client'],
    ],
    [['micro_monet', 'client']],
  ),
)
