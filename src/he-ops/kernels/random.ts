/** The most that the platform's generator gives at once. */
const BYTES_AT_ONCE = 65536

/**
 * What fills kernel memory with bytes of the platform's cryptographic generator, on whichever thread calls
 * it. There is no other source of randomness in the kernels, and none that takes a seed.
 *
 * @returns a function of an address, as a signed or an unsigned word, and a number of bytes, which it returns
 */
export function randomFiller(memory: WebAssembly.Memory): (address: number, bytes: number) => number {
  // The generator refuses memory that threads share.
  const batch = new Uint8Array(BYTES_AT_ONCE)
  return (address, bytes) => {
    const start = address >>> 0
    for (let done = 0; done < bytes; done += BYTES_AT_ONCE) {
      const part = batch.subarray(0, Math.min(BYTES_AT_ONCE, bytes - done))
      crypto.getRandomValues(part)
      new Uint8Array(memory.buffer, start + done, part.length).set(part)
    }
    batch.fill(0, 0, bytes)
    return bytes
  }
}
