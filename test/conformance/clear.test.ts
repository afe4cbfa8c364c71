import {
  type ClearCiphertext,
  type ClearEvaluator,
  createClearEvaluator,
} from '../../src/he-ops/clear/evaluator.ts'
import { raising } from '../support/raising.ts'
import { raiseConformance } from './raise.ts'
import { type Backend, conformance, SCALE, parameters as usual } from './suite.ts'

const backend = (
  noise: 'none' | 'model',
  tolerance: number,
  parameters = usual,
): Backend<ClearCiphertext> => ({
  name: `clear, noise ${noise}`,
  parameters,
  scale: SCALE,
  evaluator: (constants) => createClearEvaluator({ parameters, constants }, { noise, seed: 7 }),
  encrypt: (evaluator, slots, level, scale) => (evaluator as ClearEvaluator).encrypt(slots, level, scale),
  decrypt: (evaluator, ciphertext) => (evaluator as ClearEvaluator).decrypt(ciphertext),
  live: (evaluator) => (evaluator as ClearEvaluator).live,
  tolerance,
  // Plain slots rotate without keys.
  needsKeys: false,
  rounds: noise === 'model',
})

for (const noise of ['none', 'model'] as const) raiseConformance(backend(noise, 2e-5, raising(usual, 0)))
conformance(backend('none', 1e-13))
conformance(backend('model', 2e-5))
