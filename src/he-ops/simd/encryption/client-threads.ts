/** More threads than this find little to do: a round has some tens of ciphertexts. */
const MOST_THREADS = 8

/** Threads that a client's refreshes use: in Node one for each core, in browsers one. */
export function clientThreads(): number {
  const isNode = typeof process !== 'undefined' && process.versions?.node !== undefined
  return isNode ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1
}
