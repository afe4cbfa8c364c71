import { PolyVeilError } from '../../errors/index.ts'

/**
 * Reads a response, and stops as soon as it is too long.
 *
 * @param onChunk called with the number of bytes of each chunk
 * @throws TOO_LARGE when it has, or announces, more than `maxBytes` bytes
 */
export async function readBounded(
  response: Response,
  maxBytes: number,
  onChunk: (bytes: number) => void = () => {},
): Promise<Uint8Array> {
  if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
    await response.body?.cancel()
    throw tooLong(maxBytes)
  }
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunksOf(response)) {
    onChunk(chunk.length)
    length += chunk.length
    // Leaving the loop cancels the stream.
    if (length > maxBytes) throw tooLong(maxBytes)
    chunks.push(chunk)
  }
  return concatenate(chunks)
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
