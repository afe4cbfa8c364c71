import type { ErrorCodeName } from '../errors/index.ts'

/** Progress of a client's call. */
export interface ClientProgress {
  /**
   * `keys` makes and uploads keys, `infer` sends the query and waits for the first output, `refresh` decrypts
   * masked tensors and encrypts them again. `wait` is between two tries while the server has no room;
   * `secondsLeft` is then the time until the next. `restart` says that an inference is lost and begins again
   * after `secondsLeft`.
   */
  readonly stage: 'keys' | 'encrypt' | 'infer' | 'refresh' | 'decrypt' | 'wait' | 'restart'
  /** In stage `wait`: the request that the server has no room for. */
  readonly waitsFor?: 'keys' | 'inference'
  /** In stage `restart`: the code of the error that ended the inference. */
  readonly reason?: ErrorCodeName
  /** In stage `restart`: which restart of this inference it is, from 1 on, and how many there are at most. */
  readonly restart?: number
  readonly restarts?: number
  /** Refresh round, from 1 on; 0 outside of rounds. */
  readonly round: number
  /** Refresh rounds in all; in stage `refresh`. */
  readonly rounds?: number
  /** Which inference this is, from 1 on, and how many there are; where `classify` takes several. */
  readonly inference?: number
  readonly inferences?: number
  /** Which of the images of `classify` this inference has, by their place in the list. */
  readonly images?: readonly number[]
  /** In stage `infer` with `watch`: encrypted operations that the server has done, and their total. */
  readonly operations?: { readonly done: number; readonly total: number }
  /** Bytes sent and received in this stage. */
  readonly bytesDone: number
  readonly bytesTotal: number
  /** Estimate for this stage; absent before the first bytes are done. */
  readonly secondsLeft?: number
}

/** Options of every call that is long or asks the server. */
export interface CallOptions {
  readonly onProgress?: (progress: ClientProgress) => void
  /** Ends the call early; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/** The names of `CallOptions`. */
export const CALL_OPTIONS = ['onProgress', 'signal'] as const

/** Options of calls that run an inference. */
export interface InferOptions extends CallOptions {
  /**
   * Asks the server four times a second how many operations it has done, and reports them in the stage
   * `infer`.
   */
  readonly watch?: boolean
}

/** The names of `InferOptions`. */
export const INFER_OPTIONS = [...CALL_OPTIONS, 'watch'] as const

/** Reports a wait until a server may have room. */
export const reportingWait =
  ({ onProgress }: CallOptions, waitsFor: 'keys' | 'inference', bytesTotal: number) =>
  (secondsLeft: number): void =>
    onProgress?.({ stage: 'wait', waitsFor, round: 0, bytesDone: 0, bytesTotal, secondsLeft })

/** Reports that a lost inference begins again. */
export const reportRestart = (
  { onProgress }: CallOptions,
  restart: Required<Pick<ClientProgress, 'reason' | 'restart' | 'restarts' | 'bytesTotal' | 'secondsLeft'>>,
): void => onProgress?.({ stage: 'restart', round: 0, bytesDone: 0, ...restart })

/** Reports progress as that of one inference of several. @param index from 0 on */
export function inInference(
  { onProgress }: CallOptions,
  index: number,
  inferences: number,
  images: readonly number[],
): CallOptions['onProgress'] {
  if (onProgress === undefined) return undefined
  const place = inferences === 1 ? { images } : { images, inference: index + 1, inferences }
  return (progress) => onProgress({ ...progress, ...place })
}

/** Seconds left at the mean speed so far. */
export function secondsLeft(startedAt: number, done: number, total: number): number | undefined {
  if (done === 0) return undefined
  const seconds = (performance.now() - startedAt) / 1000
  return (seconds * (total - done)) / done
}
