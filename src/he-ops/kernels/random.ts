/** Most bytes of one call of the platform's generator. */
const BYTES_AT_ONCE = 65536

/**
 * Makes a function that fills kernel memory with bytes of the platform's cryptographic generator, on any
 * thread. The kernels have no other source of randomness.
 *
 * @returns a function of an address, signed or unsigned, and a number of bytes, which it returns
 */
export function randomFiller(memory: WebAssembly.Memory): (address: number, bytes: number) => number {
  // The generator does not write to shared memory.
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
