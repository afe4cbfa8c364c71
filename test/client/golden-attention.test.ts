import t from 'tap'
import { testGolden } from './support/golden-service.ts'

// The golden network of APolyNeXt on the simd engine, by HTTP: the logits of a plan with refreshes. In one
// shot the network is deeper than the security table allows.

await testGolden(t, [['micro_attn', 'client']])
