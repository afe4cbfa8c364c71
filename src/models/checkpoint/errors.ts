import { type ErrorFacts, PolyVeilError } from '../../errors/index.ts'

/** CHECKPOINT_UNREADABLE: the bytes are no checkpoint that PolyVeil reads. */
export const unreadable = (reason: string, facts: ErrorFacts = {}, cause?: unknown): PolyVeilError =>
  new PolyVeilError('CHECKPOINT_UNREADABLE', `The checkpoint cannot be read: ${reason}`, facts, { cause })

/** CHECKPOINT_UNSAFE: the pickle asks for something other than plain tensors. */
export const unsafe = (what: string): PolyVeilError =>
  new PolyVeilError('CHECKPOINT_UNSAFE', `The checkpoint's pickle asks for ${what}, which is not allowed`, {
    global: what,
  })
