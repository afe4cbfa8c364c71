import { open } from 'node:fs/promises'
import { type ErrorCodeName, PolyVeilError, refusedFile } from '../../errors/index.ts'

/** Larger than any circuit, and within the size of a Buffer on all platforms. */
const MAX_BYTES = 2 ** 31 - 1
/** Much larger than any list of labels or configuration. */
const MAX_TEXT_BYTES = 4 * 2 ** 20

export interface ReadOptions {
  readonly limit?: number
  /** Code of the error for an unreadable file. */
  readonly code?: ErrorCodeName
}

/**
 * Reads a file that the user named.
 *
 * @param what the file's role, for the message: "The config"
 * @throws `code` when it cannot be read; TOO_LARGE above `limit` bytes
 */
export async function readInput(
  path: string,
  what: string,
  { limit = MAX_BYTES, code = 'CONFIG_INVALID' }: ReadOptions = {},
): Promise<Uint8Array> {
  const refuse = (cause: unknown): never => {
    throw refusedFile({ name: `${what} ${path}`, code }, cause)
  }
  const file = await open(path).catch(refuse)
  try {
    const stat = await file.stat()
    if (stat.size > limit) throw tooLarge(`${what} ${path}`, limit, stat.size)
    // A pipe or a device has no size that could be looked at before.
    if (stat.isFile() || stat.isDirectory()) return new Uint8Array(await file.readFile())
    return await readStream(file.createReadStream(), `${what} ${path}`, limit)
  } catch (cause) {
    if (cause instanceof PolyVeilError) throw cause
    return refuse(cause)
  } finally {
    await file.close()
  }
}

/** Reads a stream to its end. @throws TOO_LARGE above `limit` bytes */
export async function readStream(
  stream: AsyncIterable<Uint8Array>,
  name: string,
  limit: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of stream) {
    bytes += chunk.length
    if (bytes > limit) throw tooLarge(name, limit)
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

function tooLarge(name: string, limit: number, bytes?: number): PolyVeilError {
  const has = bytes === undefined ? `more than ${limit} bytes` : `${bytes} bytes, more than ${limit}`
  const facts = { ...(bytes !== undefined && { bytes }), limit }
  const remedy = 'Check that it is the right file.'
  return new PolyVeilError('TOO_LARGE', `${name} has ${has}`, facts, { remedy })
}

/** @throws CONFIG_INVALID when it cannot be read; TOO_LARGE above `MAX_TEXT_BYTES` */
export const readTextInput = async (path: string, what: string): Promise<string> =>
  new TextDecoder().decode(await readInput(path, what, { limit: MAX_TEXT_BYTES }))

/** @throws CONFIG_INVALID also when the file is no JSON */
export async function readJsonInput(path: string, what: string): Promise<unknown> {
  const text = await readTextInput(path, what)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new PolyVeilError('CONFIG_INVALID', `${what} ${path} is no JSON`, {}, { cause })
  }
}
