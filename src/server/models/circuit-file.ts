import { closeSync, constants, fstatSync, openSync, read as readAt, readSync } from 'node:fs'
import { promisify } from 'node:util'
import { bytesToHex } from '@noble/hashes/utils.js'
import { createDigest } from '../../circuit/format/digest.ts'
import {
  type CircuitFile,
  DIGEST_BYTES,
  HEADER_START,
  headerEnd,
  readCircuitFrom,
  readOutline,
} from '../../circuit/format/file.ts'
import type { CircuitOutline } from '../../circuit/manifest/manifest.ts'
import { PolyVeilError } from '../../errors/index.ts'

const PIECE_BYTES = 2 ** 20

const readInto = promisify(readAt)

/** The outline in a circuit's header, and the digest of the file in hex. */
export interface OutlineFile {
  readonly outline: CircuitOutline
  readonly digest: string
}

/** The place of a circuit file. */
export interface CircuitLocation {
  readonly path: string
  /**
   * A descriptor of the open file, which is read in place of the path: the path may have another file now.
   */
  readonly descriptor?: number
}

/**
 * Reads a whole compiled circuit into its columns. The reads are synchronous, because checking the circuit
 * takes longer than the disk.
 *
 * @throws as `readCircuitFrom`; system errors when the file cannot be read
 */
export const readCircuitFile = (path: string): Promise<CircuitFile> => readCircuitAt({ path })

/** As `readCircuitFile`. */
export const readCircuitAt = (location: CircuitLocation): Promise<CircuitFile> =>
  withFile(location, async (file, size) =>
    readCircuitFrom({ size, read: (target, offset) => fill(file, target, offset) }),
  )

function fill(file: number, target: Uint8Array, offset: number): void {
  for (let filled = 0; filled < target.length; ) {
    const count = readSync(file, target, filled, target.length - filled, offset + filled)
    if (count === 0) throw shortened()
    filled += count
  }
}

/**
 * Reads the header of a compiled circuit, in time and memory that do not depend on the circuit's size.
 *
 * @returns the outline, and the digest that the file claims, unchecked
 * @throws as `readOutline`
 */
export const readOutlineFile = (path: string): Promise<OutlineFile> => readOutlineAt({ path })

/** As `readOutlineFile`. */
export const readOutlineAt = (location: CircuitLocation): Promise<OutlineFile> =>
  withFile(location, outlineIn)

/**
 * Reads the header as `readOutlineFile` does, and hashes the file piece by piece to check its digest.
 *
 * @throws CONFIG_INVALID when the bytes do not have the digest they claim, and as `readOutline`
 */
export const readCheckedOutlineFile = (path: string): Promise<OutlineFile> => readCheckedOutlineAt({ path })

/** As `readCheckedOutlineFile`. */
export const readCheckedOutlineAt = (location: CircuitLocation): Promise<OutlineFile> =>
  withFile(location, async (file, size) => {
    const found = await outlineIn(file, size)
    if ((await digestIn(file, size)) === found.digest) return found
    throw new PolyVeilError('CONFIG_INVALID', 'The bytes of a circuit file do not have the digest they claim')
  })

/**
 * Opens a file. Without O_NONBLOCK a named pipe would keep its reader, and so this thread, waiting.
 *
 * @throws errors of the system
 */
export const openToRead = (path: string): number =>
  openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))

/** Runs `body` on an open file, which is opened for it unless the location has a descriptor. */
async function withFile<T>(
  { path, descriptor }: CircuitLocation,
  body: (file: number, size: number) => Promise<T>,
): Promise<T> {
  const file = descriptor ?? openToRead(path)
  try {
    return await body(file, fstatSync(file).size)
  } finally {
    if (descriptor === undefined) closeSync(file)
  }
}

async function outlineIn(file: number, size: number): Promise<OutlineFile> {
  const end = headerEnd(await read(file, 0, Math.min(HEADER_START, size)), size)
  const outline = readOutline(await read(file, 0, end), size)
  return { outline, digest: bytesToHex(await read(file, size - DIGEST_BYTES, DIGEST_BYTES)) }
}

async function digestIn(file: number, size: number): Promise<string> {
  const digest = createDigest()
  const end = size - DIGEST_BYTES
  for (let offset = 0; offset < end; offset += PIECE_BYTES) {
    digest.update(await read(file, offset, Math.min(PIECE_BYTES, end - offset)))
  }
  return bytesToHex(digest.digest())
}

/** @throws CONFIG_INVALID when the file ends before, being written to meanwhile */
async function read(file: number, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await readInto(file, bytes, filled, length - filled, offset + filled)
    if (bytesRead === 0) throw shortened()
    filled += bytesRead
  }
  return bytes
}

const shortened = (): PolyVeilError => new PolyVeilError('CONFIG_INVALID', 'A circuit file becomes shorter')
