export { ERROR_CODES, type ErrorCode, type ErrorCodeName } from './codes.ts'
export { type FileSubject, inFile, refusedFile } from './in-file.ts'
export {
  type ErrorData,
  type ErrorFacts,
  PolyVeilError,
  type PolyVeilErrorOptions,
} from './polyveil-error.ts'
export { fileTrouble, isSystemError, type SystemError } from './system.ts'
