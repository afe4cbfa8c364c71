import type { MessagePort } from 'node:worker_threads'
import type { ParametersLiteral } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { EngineMemory } from '../../he-ops/engine.ts'
import { EngineMemoryExceeded } from '../../he-ops/engine-memory-exceeded.ts'
import { ExecutionStopped } from '../../he-ops/executor.ts'
import { type CheckedKeySet, InferenceCancelled, type StoredKeySet } from '../inference/engine.ts'
import type { CircuitLocation } from '../models/circuit-file.ts'
import { insufficientStorage } from '../problems/http-error.ts'
import type { KeySetLocation } from '../stores/key-set-record.ts'

/** Settings that all workers start with. */
export interface WorkerSettings {
  /** Memory for loaded key sets in bytes; new key sets evict the least recently used. */
  readonly keyBytes: number
  /** Most memory of the simd engine in bytes: keys, encoded constants and programs together. */
  readonly engineBytes: number
  /** Threads that work at one inference. */
  readonly threads: number
  /** The service's secret key for the noise of answers: the same in all workers. */
  readonly floodingKey: Uint8Array
}

export interface CheckTask {
  readonly parameters: ParametersLiteral
  readonly location: KeySetLocation
}

/** A circuit's file, and the digest that the file has to have, in hex. */
export interface CircuitReference extends CircuitLocation {
  readonly digest: string
}

export interface InferTask {
  readonly circuit: CircuitReference
  /** Digests of the circuits that are served now: the worker frees what it has of others. */
  readonly served?: readonly string[]
  readonly keys: StoredKeySet
  readonly frame: Uint8Array
  /**
   * The worker posts `WorkerMessage`s to it and receives `RefreshReply`s. Closing the other end ends an
   * inference that waits for its client.
   */
  readonly port: MessagePort
  /**
   * One 32-bit word, which is not zero when the inference is to end. A worker cannot receive messages while
   * it computes.
   */
  readonly stop: SharedArrayBuffer
}

/** Message of a worker that executes a circuit. */
export type WorkerMessage =
  /** Keys and circuit are loaded, and the inference is computed for. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly done: number; readonly total: number }
  /** The inference waits for its client and computes nothing meanwhile, or goes on. */
  | { readonly kind: 'waiting'; readonly isWaiting: boolean }
  /** Sends a masked tensor to the client; the worker waits for the reply. */
  | { readonly kind: 'refresh'; readonly round: number; readonly masked: Uint8Array<ArrayBuffer> }
  /** Result of checking a reply. After an error the worker waits for another reply. */
  | { readonly kind: 'reply checked'; readonly round: number; readonly outcome: Outcome<undefined> }

/** The client's reply to a refresh round, unchecked. */
export interface RefreshReply {
  readonly round: number
  readonly refreshed: Uint8Array<ArrayBuffer>
}

/** Engine memory of a worker, in bytes. */
export interface WorkerMemory extends Pick<EngineMemory, 'keys' | 'constants'> {
  /** Of all sessions together. */
  readonly programs: number
  /** All that engines have taken. */
  readonly used: number
  readonly limit: number
}

/** Why a worker has freed keys: others needed the room, the set was deleted, or its load failed. */
export const FREED_REASONS = ['room', 'deleted', 'failed'] as const
export type FreedReason = (typeof FREED_REASONS)[number]

/** Messages of a worker outside of any task. */
export type WorkerNotice =
  /** A session is ready to run. */
  | {
      readonly kind: 'session opened'
      readonly model: string
      /** Digest of the circuit's file, in hex. */
      readonly digest: string
      readonly memory: EngineMemory
      readonly threads: number
      /** Operations of the circuit by their kind. */
      readonly operations: Readonly<Record<string, number>>
    }
  /** An inference has found its session ready to run. */
  | { readonly kind: 'session reused' }
  /** The keys of a set have been freed. */
  | { readonly kind: 'keys freed'; readonly keySet: string; readonly reason: FreedReason }
  /** The engine's memory has changed. */
  | { readonly kind: 'memory'; readonly memory: WorkerMemory }

export type SessionOpened = Extract<WorkerNotice, { kind: 'session opened' }>

/** The tasks of `worker.ts`, by the names of its functions. */
export interface Tasks {
  checkKeys: { task: CheckTask; result: CheckedKeySet }
  infer: { task: InferTask; result: Uint8Array }
  /** @param task name of a key set that has been deleted */
  forgetKeys: { task: string; result: undefined }
}

/**
 * Result of a task. Errors are sent as data, since a thrown error would lose its code and facts between
 * threads.
 */
export type Outcome<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'error'; readonly error: ReturnType<PolyVeilError['toJSON']> }
  /** The engine lacks the memory for a model. The client's request is not at fault. */
  | { readonly kind: 'memory exceeded'; readonly error: ReturnType<PolyVeilError['toJSON']> }
  | { readonly kind: 'stopped' }
  /** A fault of the program, which only the log shows. */
  | { readonly kind: 'fault'; readonly message: string; readonly stack?: string }

export function failure(error: unknown): Outcome<never> {
  if (error instanceof ExecutionStopped) return { kind: 'stopped' }
  if (error instanceof EngineMemoryExceeded) return { kind: 'memory exceeded', error: error.toJSON() }
  if (error instanceof PolyVeilError) return { kind: 'error', error: error.toJSON() }
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  return { kind: 'fault', message, stack }
}

/** Returns the value of an outcome, or throws its error in this thread. */
export function unwrap<T>(outcome: Outcome<T>): T {
  switch (outcome.kind) {
    case 'value':
      return outcome.value
    case 'error':
      throw PolyVeilError.fromJSON(outcome.error)
    case 'memory exceeded':
      throw insufficientStorage(outcome.error)
    case 'stopped':
      throw new InferenceCancelled()
    case 'fault':
      throw Object.assign(new Error(outcome.message), { stack: outcome.stack })
  }
}
