/**
 * Gives the memory of bytes back at once; they have no length afterwards, nor has anything else in their buffer. Frames of megabytes
 * come many a second, and collectors, which mind small objects, have let gigabytes of them lie. Does nothing where buffers cannot
 * be transferred.
 *
 * @param bytes in a buffer that nobody else uses
 */
export function release({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && typeof buffer.transfer === 'function') buffer.transfer(0)
}
