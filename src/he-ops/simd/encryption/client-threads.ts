/** A round has some tens of ciphertexts, too few for more threads than these. */
const MOST_THREADS = 8

/** Threads for a client's refreshes: in Node one for each core, in browsers one. */
export function clientThreads(): number {
  const isNode = typeof process !== 'undefined' && process.versions?.node !== undefined
  return isNode ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1
}
