import { PolyVeilError } from '../../errors/index.ts'

/** Chunks that a body may have, however short they are. */
const FREE_CHUNKS = 4096
/** Bytes that further chunks have on the average, at least. A packet of a network carries more. */
const LEAST_CHUNK_BYTES = 64

/**
 * Reads a response, and stops as soon as it is too long, or comes in so many short chunks that handling them
 * would take a processor's time.
 *
 * @param onChunk called with the number of bytes of each chunk
 * @throws TOO_LARGE when it has, or announces, more than `maxBytes` bytes
 * @throws TENSOR_MALFORMED when it comes in too many chunks
 */
export async function readBounded(
  response: Response,
  maxBytes: number,
  onChunk: (bytes: number) => void = () => {},
): Promise<Uint8Array> {
  const announced = announcedBytes(response.headers)
  if (announced > maxBytes) {
    // Not awaited, as below.
    response.body?.cancel().catch(() => {})
    throw tooLong(maxBytes)
  }
  const body = new Body(announced)
  for await (const chunk of chunksOf(response)) {
    onChunk(chunk.length)
    body.add(chunk)
    const { length, chunks } = body
    // Leaving the loop cancels the stream.
    if (length > maxBytes) throw tooLong(maxBytes)
    if ((chunks - FREE_CHUNKS) * LEAST_CHUNK_BYTES > length) throw tooManyChunks(chunks, length)
  }
  return body.bytes()
}

/** A body that is put together in memory of the announced length, so that its chunks need not be kept. */
class Body {
  length = 0
  chunks = 0
  readonly #whole: Uint8Array
  /** Chunks beyond the announced length. */
  readonly #more: Uint8Array[] = []

  constructor(announced: number) {
    this.#whole = new Uint8Array(announced)
  }

  add(chunk: Uint8Array): void {
    if (this.#more.length === 0 && this.length + chunk.length <= this.#whole.length) {
      this.#whole.set(chunk, this.length)
    } else {
      this.#more.push(chunk)
    }
    this.length += chunk.length
    this.chunks++
  }

  bytes(): Uint8Array {
    if (this.#more.length === 0) return this.#whole.subarray(0, this.length)
    const more = this.#more.reduce((length, chunk) => length + chunk.length, 0)
    return concatenate([this.#whole.subarray(0, this.length - more), ...this.#more])
  }
}

function announcedBytes(headers: Headers): number {
  const length = Number(headers.get('content-length') ?? 0)
  return Number.isSafeInteger(length) && length > 0 ? length : 0
}

/** Reads by `getReader`, because streams of some browsers are not iterable. */
async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body?.getReader()
  if (reader === undefined) return
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    // Not awaited: the cancel of a stream that another reader shares may never resolve.
    reader.cancel().catch(() => {})
  }
}

/** All chunks, one after the other. */
export function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0))
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}

const tooLong = (maxBytes: number): PolyVeilError =>
  new PolyVeilError(
    'TOO_LARGE',
    `The server's answer is longer than the ${maxBytes} bytes that belong here`,
    { maxBytes },
    { remedy: 'Fetch the manifest again; a server that does not keep to it cannot be used.' },
  )

const tooManyChunks = (chunks: number, bytes: number): PolyVeilError =>
  new PolyVeilError(
    'TENSOR_MALFORMED',
    `The server's answer comes in too many short chunks: ${bytes} bytes in ${chunks}`,
    { chunks, bytes },
    { remedy: 'Check the server and the proxies before it; chunks have 64 bytes or more on the average.' },
  )
