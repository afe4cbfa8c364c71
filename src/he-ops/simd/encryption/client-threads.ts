/** A round has some tens of ciphertexts, too few for more threads than these. */
const MOST_THREADS = 8

/**
 * Threads for a client's keys and refreshes: one for each core. In browsers the page has to be cross-origin
 * isolated, since threads share memory, and the calling thread must be a Worker, since it waits for the
 * others.
 */
export function clientThreads(): number {
  return mayShare() ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1
}

function mayShare(): boolean {
  if (globalThis.process?.versions?.node !== undefined) return true
  const isWorker = 'WorkerGlobalScope' in globalThis
  return isWorker && crossOriginIsolated && 'waitAsync' in Atomics
}
