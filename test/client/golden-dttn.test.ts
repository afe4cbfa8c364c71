import t from 'tap'
import { casesOf } from '../support/thorough.ts'
import { type GoldenCase, testGolden } from './support/golden-service.ts'

// The golden networks of DTTN on the simd engine, by HTTP: the logits of plans in one shot and with
// refreshes.

await testGolden(
  t,
  casesOf<GoldenCase>(
    [
      ['micro_dttn', 'never'],
      ['micro_dttn', 'client'],
      ['micro_dttn_product', 'never'],
      ['micro_dttn_product', 'client'],
    ],
    [
      ['micro_dttn', 'never'],
      ['micro_dttn', 'client'],
      ['micro_dttn_product', 'client'],
    ],
  ),
)
