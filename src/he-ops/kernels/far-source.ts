/** Far memory is addressed in units of this many bytes, so that 32-bit words reach all of it. */
export const FAR_UNIT_BYTES = 16
/** Far memory grows in chunks of this many bytes, so that none of it is moved. */
export const FAR_CHUNK_BYTES = 64 * 2 ** 20

/**
 * The far memory that the kernel `fetch` copies from. Kernels of each thread have one; a run sets the chunks
 * of its program.
 */
export class FarSource {
  chunks: readonly SharedArrayBuffer[] = []
  readonly #memory: WebAssembly.Memory

  /** @param memory of the kernels */
  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory
  }

  /** The kernel: copies units of far memory, from the unit `from` on, to an address, signed or unsigned. */
  readonly fetch = (out: number, from: number, units: number): number => {
    let to = out >>> 0
    for (const { chunk, start, length } of farRanges(from * FAR_UNIT_BYTES, units * FAR_UNIT_BYTES)) {
      new Uint8Array(this.#memory.buffer, to, length).set(new Uint8Array(this.chunks[chunk], start, length))
      to += length
    }
    return units
  }
}

/** A part of a range of far memory that lies within one chunk. */
interface FarRange {
  readonly chunk: number
  readonly start: number
  readonly length: number
}

/** Divides a range of far memory where its chunks end. */
export function farRanges(from: number, bytes: number): FarRange[] {
  const ranges: FarRange[] = []
  for (let at = from; at < from + bytes; ) {
    const start = at % FAR_CHUNK_BYTES
    const length = Math.min(from + bytes - at, FAR_CHUNK_BYTES - start)
    ranges.push({ chunk: Math.floor(at / FAR_CHUNK_BYTES), start, length })
    at += length
  }
  return ranges
}
