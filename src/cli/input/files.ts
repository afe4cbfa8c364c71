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
    const { size } = await file.stat()
    if (size > limit) {
      const facts = { bytes: size, limit }
      const message = `${what} ${path} has ${size} bytes, more than ${limit}`
      throw new PolyVeilError('TOO_LARGE', message, facts, { remedy: 'Check that it is the right file.' })
    }
    return new Uint8Array(await file.readFile())
  } catch (cause) {
    if (cause instanceof PolyVeilError) throw cause
    return refuse(cause)
  } finally {
    await file.close()
  }
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
