import type { EngineMemory } from '../../he-ops/engine.ts'
import type { PreprocessedImage } from '../../preprocessing/index.ts'
import type { EngineName } from '../../schedule/engine-name.ts'

/** Seconds for the images of a batch together. */
export interface BatchSeconds {
  readonly encrypt: number
  /** The server's part. */
  readonly execute: number
  /** The client's part in refresh rounds. */
  readonly refreshClient: number
  readonly decrypt: number
}

export interface VerifiedBatch {
  /** Logits of each image. */
  readonly logits: readonly Float64Array[]
  readonly seconds: BatchSeconds
}

/** A way to run images through a circuit, with its costs besides the images. */
export interface VerificationBackend {
  readonly keygenSeconds: number
  /** Seconds for the server side to load keys and prepare the circuit. */
  readonly loadSeconds: number
  /** Engine memory, known before the run; zero without an engine. */
  readonly engineMemory: EngineMemory
  /** Bytes on the wire; zero without encryption. */
  readonly bytes: {
    readonly keys: number
    readonly query: number
    readonly refreshUp: number
    readonly refreshDown: number
    readonly response: number
  }
  /** Refresh rounds of a batch; 0 without encryption. */
  readonly rounds: number
  /**
   * @param images of the shape that the circuit takes, at most as many as share its ciphertexts
   * @param onProgress operations done, and their total
   */
  run(images: readonly PreprocessedImage[], onProgress: OnProgress): Promise<VerifiedBatch>
  close(): Promise<void>
}

export type OnProgress = (done: number, total: number) => void
export type BackendName = EngineName | 'clear'
