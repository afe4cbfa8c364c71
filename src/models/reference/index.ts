export { type Observer, referenceForward } from './forward.ts'
