import initialize, { type MainModule } from 'node-seal'
import { PolyVeilError } from '../../errors/index.ts'

/** node-seal's module, with the helper that its type file lacks. */
export type Seal = MainModule & { getExceptionMessage(exception: unknown): [type: string, message: string] }

let instance: Promise<Seal> | undefined

/** The one WebAssembly instance of node-seal in this thread. */
export function loadSeal(): Promise<Seal> {
  // Without a `locateFile` the module is found by the `new URL(...)` in node-seal, which bundlers rewrite.
  instance ??= initialize({ locateFile: undefined }) as Promise<Seal>
  return instance
}

/**
 * Runs `body`, and converts node-seal's `WebAssembly.Exception` to an INTERNAL error with SEAL's text: the
 * exception's message cannot be read in another thread.
 */
export function guarded<T>(seal: Seal, body: () => T): T {
  try {
    return body()
  } catch (cause) {
    throw translate(seal, cause)
  }
}

/**
 * The error to throw in place of node-seal's. After a trap the instance's memory may be damaged, so the next
 * `loadSeal` makes another instance.
 */
export function translate(seal: Seal, cause: unknown): unknown {
  if (cause instanceof WebAssembly.RuntimeError) {
    instance = undefined
    return new PolyVeilError('INTERNAL', `node-seal has failed: ${cause.message}`, {}, { cause })
  }
  const wasm = WebAssembly as unknown as { Exception: new () => object }
  if (!(cause instanceof wasm.Exception)) return cause
  const [type, message] = seal.getExceptionMessage(cause)
  return new PolyVeilError('INTERNAL', `SEAL: ${message}`, { type })
}

/** Objects of the WebAssembly heap must be freed explicitly. */
export interface Deletable {
  delete(): void
}

/** Runs `body` with a helper that registers heap objects, and deletes them afterwards, also on errors. */
export function withHeap<T>(body: (own: <D extends Deletable>(object: D) => D) => T): T {
  const owned: Deletable[] = []
  try {
    return body((object) => {
      owned.push(object)
      return object
    })
  } finally {
    for (const object of owned.reverse()) object.delete()
  }
}
