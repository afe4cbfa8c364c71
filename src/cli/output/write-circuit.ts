import { bytesToHex } from '@noble/hashes/utils.js'
import type { Circuit } from '../../circuit/index.ts'
import { writeWhole } from './write-file.ts'

/** Facts about a circuit's file, whether it was written or not. */
export interface WrittenCircuit {
  /** As `circuitDigest`. */
  readonly digest: string
  readonly bytes: number
}

/**
 * Writes a circuit's file piece by piece, so that memory never holds the whole file.
 *
 * @param path undefined to write nothing
 * @throws CONFIG_INVALID when the file cannot be written; as `circuitPieces`
 */
export async function writeCircuitFile(path: string | undefined, circuit: Circuit): Promise<WrittenCircuit> {
  const { circuitPieces } = await import('../../circuit/format/file.ts')
  const written = { digest: '', bytes: 0 }
  const pieces = noting(circuitPieces(circuit), written)
  if (path === undefined) for (const _ of pieces);
  else await writeWhole(path, pieces)
  return written
}

/** The last piece is the digest. */
function* noting(
  pieces: Iterable<Uint8Array>,
  written: { digest: string; bytes: number },
): Generator<Uint8Array> {
  let last: Uint8Array = new Uint8Array()
  for (const piece of pieces) {
    written.bytes += piece.length
    yield piece
    last = piece
  }
  written.digest = bytesToHex(last)
}
