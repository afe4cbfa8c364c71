import type { ConnectOptions } from '../connect.ts'
import type { KeyLife } from '../key-life.ts'
import type { ManifestChange } from '../pins/change.ts'
import type { PolyVeil } from '../polyveil.ts'
import type { ClientProgress } from '../progress.ts'
import type { CrossedError } from './crossed-error.ts'
import type { Port } from './web-worker.ts'

// The messages between a page and the Worker that has its connection. All but the first travel through a
// channel of the connection, so that a Worker may have other messages and several connections.

type Methods<T> = {
  [K in keyof T]: T[K] extends (...args: never[]) => Promise<unknown> ? K : never
}[keyof T] &
  string

/** Methods of a connection's `keySets`. */
export const KEY_SET_METHODS = ['list', 'rotate', 'delete'] as const satisfies readonly Methods<KeyLife>[]

export type KeySetMethod = Methods<KeyLife>
/** `forget` is a method of the Worker's store. */
export type Method = Methods<PolyVeil> | KeySetMethod | 'forget'

/** Options that stay on the page. The Worker puts its own in their place. */
export const PAGE_OPTIONS = ['onProgress', 'signal'] as const
export type PageOption = (typeof PAGE_OPTIONS)[number]

/** The store of a Worker's connection. */
export interface WorkerStore {
  /**
   * `indexeddb`, the default, keeps keys in the browser's database; `memory` until the connection is closed.
   */
  readonly store?: 'indexeddb' | 'memory'
  /** Name of the database. */
  readonly name?: string
  /** Passphrase that protects the database's entries. */
  readonly passphrase?: string
}

/** The first message: the Worker gets its end of the channel. */
export interface OpenMessage {
  readonly kind: 'polyveil-connect'
  readonly port: Port
  readonly url: unknown
  readonly store: WorkerStore
  readonly options: Omit<ConnectOptions, 'keys' | 'fetch' | 'signal' | 'onManifestChange'>
  /** Whether the page has a function for changed manifests. */
  readonly reportsManifests: boolean
  /** Name of a lock that the Worker holds as long as it lives; absent where a browser has no locks. */
  readonly lock?: string
}

/** From the page. */
export type PageMessage =
  | {
      readonly kind: 'call'
      readonly id: number
      readonly method: Method
      readonly args: readonly unknown[]
      /** Options of the last argument that stay on the page. */
      readonly pageOptions: readonly PageOption[]
    }
  /** Aborts a call, or without an id the connection. */
  | { readonly kind: 'abort'; readonly id?: number }
  /** Ends the connection. A Worker of the caller's own goes on. */
  | { readonly kind: 'end' }

/** From the Worker. The id of `connect` itself is 0. */
export type WorkerMessage =
  /** The Worker runs and holds its lock. */
  | { readonly kind: 'alive' }
  | { readonly kind: 'progress'; readonly id: number; readonly progress: ClientProgress }
  /** The store has its first entry: the page asks the browser to keep the data, which a Worker cannot. */
  | { readonly kind: 'stored' }
  | { readonly kind: 'manifestChange'; readonly change: ManifestChange }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: CrossedError }

/** The id of the call that connects. */
export const CONNECT_ID = 0
