import { PolyVeilError } from '../errors/index.ts'
import type { Rule } from './begin-again.ts'
import { ForeignAnswer } from './transport/foreign-answer.ts'

/** The server refuses a query because it has another circuit of that name now. Nothing has been decrypted. */
export class StaleManifest extends PolyVeilError {
  constructor(error: PolyVeilError) {
    super(error.code, error.message, error.facts, { cause: error, remedy: error.remedy })
  }
}

const CODES: readonly string[] = ['PARAMETERS_MISMATCH', 'MODEL_UNKNOWN']
const STATUSES = [409, 410]

/** Whether an error says that the manifest is out of date; a proxy may have a page in the server's place. */
export function isOtherManifest(error: unknown): error is PolyVeilError {
  if (error instanceof StaleManifest) return true
  if (error instanceof ForeignAnswer) return STATUSES.includes(error.status)
  return error instanceof PolyVeilError && CODES.includes(error.code)
}

/** The rule that `classify` begins again under the new manifest, whose predecessor has been forgotten. */
export const restartingStale: Rule = { covers: (error) => error instanceof StaleManifest, times: 1 }
