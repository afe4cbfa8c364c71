import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import * as z from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import type { Factors } from '../constants/constant-table.ts'
import {
  boundedList,
  issueText,
  MAX_HEADER_BYTES,
  MAX_LABELS,
  MAX_LAYERS,
  MAX_ROTATIONS,
  MAX_ROUNDS,
  MAX_STAGE_GROUPS,
} from '../manifest/bounds.ts'
import {
  type CircuitOutline,
  canonicalJson,
  checkManifest,
  manifestOfOutline,
  outlineOf,
} from '../manifest/manifest.ts'
import { checkParameters, MAX_PRIMES, parametersLiteral } from '../parameters/parameters.ts'
import type { Circuit } from '../types.ts'
import { verifyCircuit } from '../verify.ts'
import { type ColumnCounts, type Columns, columnShapes, countsOf, fromColumns, toColumns } from './columns.ts'
import { createDigest } from './digest.ts'

// A circuit file (.pvc), numbers little-endian (as typed arrays are wherever Node and browsers run):
//
//    0   8  magic and version, "PVCIRC08"
//    8   4  length of the header
//   12      header: canonical JSON, then spaces up to a multiple of eight bytes of the file
//           columns as `columnShapes` lists them
//       32  SHA-256 of everything before
//
// The header has all that is to be known of a circuit without decoding its columns. Equal circuits give equal
// bytes.

const KIND = 'PVCIRC'
/** Version of the format. Release 0.1.0 wrote version 1. */
const VERSION = 8
const MAGIC = new Uint8Array(utf8ToBytes(KIND + String(VERSION).padStart(2, '0')))
/** Bytes before the header, which give its length. */
export const HEADER_START = 12
/** Bytes of the digest at the end of the file. */
export const DIGEST_BYTES = 32
const ALIGNMENT = 8
/** Bytes that are written, read and hashed at once. */
const PIECE_BYTES = 2 ** 20

const count = z.number().int().nonnegative().max(0xffffffff)
const finite = z.number().finite().nonnegative()

const headerSchema = z.strictObject({
  counts: z.strictObject({
    ops: count,
    terms: count,
    scales: count,
    constants: count,
    distinctConstants: count,
    constantValues: count,
    imaginary: count.optional(),
  }),
  result: count,
  layers: boundedList(
    z.strictObject({
      name: z.string().max(256),
      kind: z.string().max(64),
      shape: boundedList(z.number().int().positive(), 4),
      precisionBits: z.number().finite(),
      logitBits: z.number().finite(),
      slotsUsed: finite,
      seconds: finite,
    }),
    MAX_LAYERS,
  ),
  estimate: z.strictObject({
    seconds: finite,
    logitError: finite,
    isMeasured: z.boolean(),
    precisionBits: z.number().finite(),
    memoryBytes: finite,
    bytes: z.strictObject({
      keys: finite,
      query: finite,
      refreshUp: finite,
      refreshDown: finite,
      response: finite,
    }),
  }),
  refresh: z.strictObject({ level: count }).optional(),
  raise: z
    .strictObject({
      bound: z.number().finite().positive(),
      stages: boundedList(count, MAX_STAGE_GROUPS).optional(),
    })
    .optional(),
  // The figures that the manifest gives of the operations. `readCircuit` compares them with the operations.
  rotationSteps: boundedList(count, MAX_ROTATIONS),
  conjugation: z.literal(true).optional(),
  rounds: boundedList(count, MAX_ROUNDS),
  // The manifest's own schema checks the public half, once the circuit is complete.
  model: z.string(),
  labels: boundedList(z.string(), MAX_LABELS),
  batch: count,
  parameters: z.strictObject({
    ring: z.number(),
    primes: boundedList(z.string(), MAX_PRIMES),
    specialPrimes: boundedList(z.string(), MAX_PRIMES),
    raiseLevel: z.number().optional(),
  }),
  input: z.unknown(),
  output: z.unknown(),
})

type Header = z.infer<typeof headerSchema>

/** A source of the bytes of a circuit file. */
export interface CircuitSource {
  readonly size: number
  /** Fills `target` with the bytes from `offset` on, of which there are as many. */
  read(target: Uint8Array, offset: number): void
}

export interface CircuitFile {
  readonly circuit: Circuit
  /** The digest that identifies the file, in hex. */
  readonly digest: string
}

/** The bytes of a circuit's file. @throws as `circuitPieces` */
export function writeCircuit(circuit: Circuit): Uint8Array {
  const pieces = Array.from(circuitPieces(circuit), (piece) => piece.slice())
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let offset = 0
  for (const piece of pieces) {
    bytes.set(piece, offset)
    offset += piece.length
  }
  return bytes
}

/**
 * The bytes of a circuit file in pieces, because files of deep circuits are too large to be in memory twice.
 * The last piece is the digest.
 *
 * @returns pieces; read each before asking for the next
 * @throws as `verifyCircuit`, before the first piece: no file holds a circuit that would be refused
 */
export function* circuitPieces(circuit: Circuit): Generator<Uint8Array<ArrayBuffer>> {
  verifyCircuit(circuit)
  checkPublicSide(outlineOf(circuit))
  const digest = createDigest()
  for (const piece of piecesBeforeDigest(circuit)) {
    digest.update(piece)
    yield piece
  }
  yield new Uint8Array(digest.digest())
}

function* piecesBeforeDigest(circuit: Circuit): Generator<Uint8Array<ArrayBuffer>> {
  const columns = toColumns(circuit)
  const counts = countsOf(columns)
  const header = headerBytes(circuit, counts)
  yield MAGIC
  yield u32(header.length)
  yield header
  for (const name of Object.keys(columnShapes(counts)) as (keyof Columns)[]) {
    if (name === 'constantValues') yield* valuePieces(columns.factors)
    else yield asBytes(columns[name])
  }
}

/** The values of all factors, one after the other. */
function* valuePieces(factors: Factors): Generator<Uint8Array<ArrayBuffer>> {
  const piece = new Float64Array(PIECE_BYTES / Float64Array.BYTES_PER_ELEMENT)
  let filled = 0
  for (let number = 0; number < factors.length; number++) {
    const values = factors.at(number)
    for (let from = 0; from < values.length; ) {
      if (filled === piece.length) {
        yield asBytes(piece)
        filled = 0
      }
      const part = values.subarray(from, from + piece.length - filled)
      piece.set(part, filled)
      filled += part.length
      from += part.length
    }
  }
  yield asBytes(piece.subarray(0, filled))
}

/**
 * Reads a circuit file from memory.
 *
 * @param bytes not kept; the circuit holds copies
 * @throws as `readCircuitFrom`; CONFIG_INVALID also when they are no bytes
 */
export function readCircuit(bytes: Uint8Array): Circuit {
  if (!(bytes instanceof Uint8Array))
    throw invalid('It is no Uint8Array; give the bytes: await readFile(path)')
  return readCircuitFrom({
    size: bytes.length,
    read: (target, offset) => target.set(bytes.subarray(offset, offset + target.length)),
  }).circuit
}

/**
 * Reads a circuit file and checks all of it: digest, lengths, parameters, layouts and the laws of circuits.
 * Only the circuit stays in memory.
 *
 * @throws CONFIG_INVALID when the file is truncated, corrupt, of another version, or contradicts itself;
 *   SECURITY_TOO_LOW, SCALE_MISMATCH and LEVEL_EXHAUSTED as `checkParameters` and `verifyCircuit`; errors of
 *   the source
 */
export function readCircuitFrom(source: CircuitSource): CircuitFile {
  const reader = new HashingReader(source)
  const start = reader.fill(new Uint8Array(Math.min(HEADER_START, source.size)))
  const bytes = new Uint8Array(headerEnd(start, source.size))
  bytes.set(start)
  reader.fill(bytes.subarray(start.length))
  const { header } = readHeader(bytes, source.size)
  const columns = readColumns(reader, header.counts)
  const digest = reader.checkedDigest()
  const circuit = assemble(header, columns)
  const outline = outlineOf(circuit)
  requireOutline(header, outline)
  checkPublicSide(outline)
  verifyCircuit(circuit)
  return { circuit, digest }
}

/** Reads a source from its beginning, and hashes the bytes. */
class HashingReader {
  readonly #source: CircuitSource
  readonly #digest = createDigest()
  #offset = 0

  constructor(source: CircuitSource) {
    this.#source = source
  }

  /** @returns `target`, filled */
  fill(target: Uint8Array): Uint8Array {
    for (let from = 0; from < target.length; from += PIECE_BYTES) {
      const piece = target.subarray(from, from + PIECE_BYTES)
      this.#source.read(piece, this.#offset)
      this.#digest.update(piece)
      this.#offset += piece.length
    }
    return target
  }

  /** The digest of all before the last 32 bytes, in hex. @throws CONFIG_INVALID when these are others */
  checkedDigest(): string {
    const claimed = new Uint8Array(DIGEST_BYTES)
    this.#source.read(claimed, this.#offset)
    const digest = bytesToHex(this.#digest.digest())
    if (digest !== bytesToHex(claimed)) throw invalid('Its bytes do not have the digest they claim')
    return digest
  }
}

/**
 * Reads the header of a circuit file and checks that it is consistent: lengths, parameters, layouts. Digest
 * and columns are not read.
 *
 * @param bytes the first bytes of the file, `headerEnd` of them at least
 * @param fileBytes length of the whole file
 * @throws as `readCircuit`
 */
export function readOutline(bytes: Uint8Array, fileBytes: number): CircuitOutline {
  requireVersion(bytes)
  const { header } = readHeader(bytes, fileBytes)
  const { counts: _counts, result: _result, ...described } = header
  const outline = outlined(described)
  checkPublicSide(outline)
  return outline
}

/**
 * The end of a circuit file's header.
 *
 * @param bytes the first bytes of the file, `HEADER_START` of them at least
 * @throws CONFIG_INVALID when they are not the beginning of a circuit file, or the file is shorter
 */
export function headerEnd(bytes: Uint8Array, fileBytes: number): number {
  requireVersion(bytes)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(MAGIC.length, true)
  const end = HEADER_START + length
  if (length > MAX_HEADER_BYTES || end > fileBytes - DIGEST_BYTES || end % ALIGNMENT !== 0)
    throw invalid('Its header has a wrong length')
  return end
}

/**
 * The digest that identifies a circuit file, in hex: its last 32 bytes. `readCircuitFrom` checks that they
 * are right.
 */
export function circuitDigest(bytes: Uint8Array): string {
  if (bytes.length < HEADER_START + DIGEST_BYTES) throw invalid('It is too short')
  return bytesToHex(bytes.subarray(bytes.length - DIGEST_BYTES))
}

function headerBytes(circuit: Circuit, counts: ColumnCounts): Uint8Array<ArrayBuffer> {
  const { result } = circuit
  const parameters = parametersLiteral(circuit.parameters)
  const header = { ...outlineOf(circuit), counts, parameters, result }
  const bytes = utf8ToBytes(canonicalJson(checkHeader(header)))
  const end = HEADER_START + bytes.length
  const padded = new Uint8Array(bytes.length + (-end & (ALIGNMENT - 1))).fill(0x20)
  padded.set(bytes)
  if (padded.length > MAX_HEADER_BYTES) {
    throw invalid(
      `Its header takes ${padded.length} bytes, and the limit is ${MAX_HEADER_BYTES}; use shorter labels and names of layers`,
    )
  }
  return padded
}

function requireVersion(bytes: Uint8Array): void {
  if (bytes.length < HEADER_START) throw invalid('It is too short')
  const version = versionOf(bytes)
  if (version === undefined) throw invalid('It is no circuit file (*.pvc)')
  if (version !== VERSION) throw otherVersion(version)
}

/** The version of the format that a circuit file names; undefined for other files. */
function versionOf(bytes: Uint8Array): number | undefined {
  const magic = new TextDecoder('latin1').decode(bytes.subarray(0, MAGIC.length))
  const digits = magic.startsWith(KIND) ? magic.slice(KIND.length) : ''
  return /^[0-9]{2}$/.test(digits) ? Number(digits) : undefined
}

function otherVersion(version: number): PolyVeilError {
  const age = version < VERSION ? 'an older' : 'a newer'
  return new PolyVeilError(
    'CONFIG_INVALID',
    `The circuit file cannot be used. It has version ${version} of the format, of ${age} PolyVeil, and this one reads version ${VERSION}`,
    { version, readable: VERSION },
    {
      remedy:
        version < VERSION
          ? 'Compile it anew from its checkpoint with this PolyVeil; circuit files are not migrated.'
          : 'Update PolyVeil, or compile it anew from its checkpoint with this one.',
    },
  )
}

function readHeader(bytes: Uint8Array, fileBytes: number): { header: Header; end: number } {
  const end = headerEnd(bytes, fileBytes)
  const header = checkHeader(parseJson(bytes.subarray(HEADER_START, end)))
  if (end + columnBytes(header.counts) + DIGEST_BYTES !== fileBytes) {
    throw invalid('Its length is not what its header says')
  }
  return { header, end }
}

function checkHeader(data: unknown): Header {
  const parsed = headerSchema.safeParse(data)
  if (!parsed.success) throw malformed(parsed.error)
  return parsed.data
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw invalid('Its header is no JSON')
  }
}

const columnBytes = (counts: ColumnCounts): number =>
  Object.values(columnShapes(counts)).reduce(
    (sum, [type, length]) => sum + type.BYTES_PER_ELEMENT * length,
    0,
  )

function readColumns(reader: HashingReader, counts: ColumnCounts): Columns {
  const shapes = Object.entries(columnShapes(counts))
  const columns = shapes.map(([name, [type, length]]) => {
    const column = new type(length)
    reader.fill(asBytes(column))
    return [name, column]
  })
  return Object.fromEntries(columns)
}

function assemble(header: Header, columns: Columns): Circuit {
  const {
    counts: _counts,
    rotationSteps: _steps,
    conjugation: _conjugation,
    rounds: _rounds,
    ...described
  } = header
  return { ...outlined(described), ...fromColumns(columns) }
}

/**
 * The public half of the header, with parameters that `checkParameters` has passed. `checkPublicSide` checks
 * its schema.
 */
const outlined = <T extends Pick<Header, 'parameters' | 'input' | 'output'>>(described: T) => ({
  ...described,
  parameters: checkParameters(described.parameters),
  input: described.input as Circuit['input'],
  output: described.output as Circuit['output'],
})

/**
 * Checks the header's figures against the operations, because servers believe the header before they read the
 * operations.
 */
function requireOutline(header: Header, outline: CircuitOutline): void {
  const figures = ({ rotationSteps, conjugation, rounds }: Header | CircuitOutline) =>
    canonicalJson({ rotationSteps, conjugation, rounds })
  if (figures(header) !== figures(outline)) {
    throw invalid('Its header has other rotations, conjugations or rounds than its operations')
  }
}

/** Checks the public half by building the manifest, whose checks are the only copy of these rules. */
function checkPublicSide(outline: CircuitOutline): void {
  try {
    checkManifest(manifestOfOutline(outline))
  } catch (error) {
    throw error instanceof z.ZodError ? malformed(error) : error
  }
}

const asBytes = (column: Float64Array | Uint32Array | Uint8Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(column.buffer as ArrayBuffer, column.byteOffset, column.byteLength)

function u32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

const malformed = (error: z.ZodError): PolyVeilError =>
  invalid(`Its header is malformed at ${issueText(error)}`)

const invalid = (message: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', `The circuit file cannot be used. ${message}`)
