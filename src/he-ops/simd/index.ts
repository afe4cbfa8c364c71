export { createSimdContext, type SimdContext } from './context.ts'
export { SimdEngine, type SimdEngineOptions, type SimdSession } from './engine.ts'
export { createSimdEvaluator, type SimdCiphertext, type SimdEvaluator } from './evaluator.ts'
export type { RunControl } from './threads/crew.ts'
