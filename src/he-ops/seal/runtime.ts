import initialize, { type MainModule } from 'node-seal'
import { PolyVeilError } from '../../errors/index.ts'

/** node-seal's module, with the helper that its type file leaves out. */
export type Seal = MainModule & { getExceptionMessage(exception: unknown): [type: string, message: string] }

let instance: Promise<Seal> | undefined

/** The one WebAssembly instance of node-seal in this thread. */
export function loadSeal(): Promise<Seal> {
  // Without a `locateFile` the module is found by the `new URL(...)` that bundlers see, and follow when they
  // rename it.
  instance ??= initialize({ locateFile: undefined }) as Promise<Seal>
  return instance
}

/**
 * Runs `body` and turns node-seal's `WebAssembly.Exception`, whose message would be lost outside this thread,
 * into an `INTERNAL` error that carries SEAL's text.
 */
export function guarded<T>(seal: Seal, body: () => T): T {
  try {
    return body()
  } catch (cause) {
    throw translate(seal, cause)
  }
}

/** The error to throw instead of whatever node-seal threw. */
export function translate(seal: Seal, cause: unknown): unknown {
  const wasm = WebAssembly as unknown as { Exception: new () => object }
  if (!(cause instanceof wasm.Exception)) return cause
  const [type, message] = seal.getExceptionMessage(cause)
  return new PolyVeilError('INTERNAL', `SEAL: ${message}`, { type })
}

/** Objects of the WebAssembly heap are freed by hand. */
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
