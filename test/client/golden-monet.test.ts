import t from 'tap'
import { testGolden } from './support/golden-service.ts'

// The golden networks of MONet on the simd engine, by HTTP: the logits of plans in one shot and with
// refreshes.

await testGolden(t, [
  ['micro_monet', 'never'],
  ['micro_monet', 'always'],
])
