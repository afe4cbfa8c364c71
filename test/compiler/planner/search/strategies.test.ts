import t from 'tap'
import type { RotationStrategy } from '../../../../src/compiler/lowering/strategy.ts'
import { CHAINS, chooseStrategy } from '../../../../src/compiler/planner/search/strategies.ts'

/** A cost that counts the choices in which a strategy differs from the wanted one. */
const distanceTo =
  (wanted: RotationStrategy) =>
  (strategy: RotationStrategy): number =>
    Object.keys(wanted).filter((key) => Reflect.get(strategy, key) !== Reflect.get(wanted, key)).length

t.test(
  'the search finds every combination for the SIMD engine, with all shifts as baby steps too',
  async (t) => {
    for (const wanted of [
      CHAINS,
      { babies: 16, babySteps: 'direct', giantSteps: 'direct', taps: 'joint', depthwise: 'direct' },
      { babies: 63, babySteps: 'direct', giantSteps: 'horner', taps: 'direct', depthwise: 'separable' },
    ] as const) {
      t.strictSame(chooseStrategy('simd', 32, distanceTo(wanted)), wanted)
    }
  },
)

t.test('the search for node-seal, which does not hoist, tries no direct rotations', async (t) => {
  const tried: RotationStrategy[] = []
  const best = chooseStrategy('seal', 32, (strategy) => {
    tried.push(strategy)
    return strategy.babies
  })
  t.strictSame(best, { ...CHAINS, babies: 3 })
  t.ok(tried.every(({ babySteps, giantSteps }) => babySteps === 'chain' && giantSteps === 'horner'))
})

t.test('the search tries no more baby steps than a position has shifts', async (t) => {
  chooseStrategy('simd', 4, ({ babies }) => {
    t.ok(babies <= 7, `${babies}`)
    return 0
  })
})
