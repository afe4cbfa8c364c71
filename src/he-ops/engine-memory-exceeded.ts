import { PolyVeilError } from '../errors/index.ts'

/** TOO_LARGE because an engine lacks memory, which is not the fault of a request. */
export class EngineMemoryExceeded extends PolyVeilError {
  constructor(message: string, neededBytes: number, limitBytes: number, options?: ErrorOptions) {
    super('TOO_LARGE', message, { neededBytes, limitBytes }, options)
  }
}
