export { type Observer, referenceForward } from './forward.ts'
export { NORM_EPSILON } from './normalise.ts'
