import { PolyVeilError, type PolyVeilErrorOptions } from '../errors/index.ts'

/** TOO_LARGE because an engine lacks memory, not because of the request. */
export class EngineMemoryExceeded extends PolyVeilError {
  constructor(message: string, neededBytes: number, limitBytes: number, options?: PolyVeilErrorOptions) {
    super('TOO_LARGE', message, { neededBytes, limitBytes }, options)
  }
}
