import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { ZodError, z } from 'zod'
import { PolyVeilError } from '../errors/index.ts'
import { digestOf } from './digest.ts'
import {
  type ColumnCounts,
  type Columns,
  columnShapes,
  countsOf,
  fromColumns,
  toColumns,
} from './file-columns.ts'
import {
  type CircuitOutline,
  canonicalJson,
  checkManifest,
  manifestOfOutline,
  outlineOf,
} from './manifest.ts'
import { checkParameters, parametersLiteral } from './parameters.ts'
import type { Circuit } from './types.ts'
import { verifyCircuit } from './verify.ts'

// A circuit file (.pvc), numbers little-endian (as typed arrays are wherever Node and browsers run):
//
//    0   8  magic and version, "PVCIRC04"
//    8   4  length of the header
//   12      header: canonical JSON, then spaces up to a multiple of eight bytes of the file
//           columns as `columnShapes` lists them
//       32  SHA-256 of everything before
//
// The header has all that is to be known of a circuit without decoding its columns. Equal circuits give equal bytes.

const MAGIC = utf8ToBytes('PVCIRC04')
/** Bytes in front of the header, which say how long it is. */
export const HEADER_START = 12
/** At the file's end. */
export const DIGEST_BYTES = 32
const ALIGNMENT = 8

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
  }),
  result: count,
  layers: z.array(
    z.strictObject({
      name: z.string().max(256),
      kind: z.string().max(64),
      shape: z.array(z.number().int().positive()).max(4),
      precisionBits: z.number().finite(),
      slotsUsed: finite,
    }),
  ),
  estimate: z.strictObject({
    seconds: finite,
    logitError: finite,
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
  refresh: z.strictObject({ level: count, maskBits: count }).optional(),
  // What the manifest says of the operations; `readCircuit` holds it against them.
  rotationSteps: z.array(count),
  rounds: z.array(count),
  // The public half is checked by the manifest's own schema, once the circuit is put together.
  model: z.string(),
  labels: z.array(z.string()),
  batch: count,
  parameters: z.strictObject({
    ring: z.number(),
    primes: z.array(z.string()),
    specialPrimes: z.array(z.string()),
  }),
  input: z.unknown(),
  output: z.unknown(),
})

type Header = z.infer<typeof headerSchema>

/** The bytes of a circuit's file. @throws as `verifyCircuit`: a file never holds a circuit that would be refused. */
export function writeCircuit(circuit: Circuit): Uint8Array {
  verifyCircuit(circuit)
  checkPublicSide(outlineOf(circuit))
  const columns = toColumns(circuit)
  const header = headerBytes(circuit, countsOf(columns))
  const parts = [MAGIC, u32(header.length), header, ...inFileOrder(columns).map(asBytes)]
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, DIGEST_BYTES))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  bytes.set(digestOf(bytes.subarray(0, offset)), offset)
  return bytes
}

/**
 * Reads a circuit's file and checks all of it: digest, lengths, parameters, layouts, the laws of circuits.
 *
 * @param bytes not kept; the circuit holds copies
 * @throws CONFIG_INVALID when the file is truncated, corrupt, of another version or contradicts itself;
 *   SECURITY_TOO_LOW, SCALE_MISMATCH and LEVEL_EXHAUSTED as the parameters' gate and `verifyCircuit`
 */
export function readCircuit(bytes: Uint8Array): Circuit {
  requireIntact(bytes)
  const { header, end } = readHeader(bytes, bytes.length)
  const circuit = assemble(header, readColumns(bytes, header.counts, end))
  const outline = outlineOf(circuit)
  requireOutline(header, outline)
  checkPublicSide(outline)
  verifyCircuit(circuit)
  return circuit
}

/**
 * Reads what the header of a circuit's file says, and checks that it is consistent in itself: lengths, parameters, layouts.
 *
 * @param bytes the file's first ones, `headerEnd` of them at least; neither digest nor columns are looked at
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
 * Where the header of a circuit's file ends.
 *
 * @param bytes the file's first ones, `HEADER_START` of them at least
 * @throws CONFIG_INVALID when the file does not begin as one or is shorter
 */
export function headerEnd(bytes: Uint8Array, fileBytes: number): number {
  requireVersion(bytes)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(MAGIC.length, true)
  const end = HEADER_START + length
  if (end > fileBytes - DIGEST_BYTES || end % ALIGNMENT !== 0) throw invalid('Its header has a wrong length')
  return end
}

/** The digest that identifies a circuit file, in hex: its last 32 bytes. `readCircuit` checks that they are right. */
export function circuitDigest(bytes: Uint8Array): string {
  if (bytes.length < HEADER_START + DIGEST_BYTES) throw invalid('It is too short')
  return bytesToHex(bytes.subarray(bytes.length - DIGEST_BYTES))
}

function headerBytes(circuit: Circuit, counts: ColumnCounts): Uint8Array {
  const { result } = circuit
  const parameters = parametersLiteral(circuit.parameters)
  const header = { ...outlineOf(circuit), counts, parameters, result }
  const bytes = utf8ToBytes(canonicalJson(checkHeader(header)))
  const end = HEADER_START + bytes.length
  const padded = new Uint8Array(bytes.length + (-end & (ALIGNMENT - 1))).fill(0x20)
  padded.set(bytes)
  return padded
}

function requireIntact(bytes: Uint8Array): void {
  requireVersion(bytes)
  const digest = bytesToHex(digestOf(bytes.subarray(0, bytes.length - DIGEST_BYTES)))
  if (digest !== circuitDigest(bytes)) throw invalid('Its bytes do not have the digest they claim')
}

function requireVersion(bytes: Uint8Array): void {
  if (bytes.length < HEADER_START) throw invalid('It is too short')
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) throw invalid('It has another format or version')
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

/** Copies the columns out of the file. */
function readColumns(bytes: Uint8Array, counts: ColumnCounts, start: number): Columns {
  const shapes = Object.entries(columnShapes(counts))
  let offset = start
  const columns = shapes.map(([name, [type, length]]) => {
    // Not by `slice`, which gives a view where the bytes are a Buffer.
    const column = new Uint8Array(bytes.subarray(offset, offset + type.BYTES_PER_ELEMENT * length))
    offset += column.length
    return [name, new type(column.buffer)]
  })
  return Object.fromEntries(columns)
}

function assemble(header: Header, columns: Columns): Circuit {
  const { counts: _counts, rotationSteps: _steps, rounds: _rounds, ...described } = header
  return { ...outlined(described), ...fromColumns(columns) }
}

/** The header's public half, whose own schema `checkPublicSide` has, with parameters that have passed their gate. */
const outlined = <T extends Pick<Header, 'parameters' | 'input' | 'output'>>(described: T) => ({
  ...described,
  parameters: checkParameters(described.parameters),
  input: described.input as Circuit['input'],
  output: described.output as Circuit['output'],
})

/** The header is believed before the operations are read. */
function requireOutline(header: Header, { rotationSteps, rounds }: CircuitOutline): void {
  const claims = [header.rotationSteps, header.rounds]
  if (canonicalJson(claims) !== canonicalJson([rotationSteps, rounds])) {
    throw invalid('Its header has other rotations or rounds than its operations')
  }
}

/** What a client will be told must be well-formed too: the manifest's checks are the only copy of those rules. */
function checkPublicSide(outline: CircuitOutline): void {
  try {
    checkManifest(manifestOfOutline(outline))
  } catch (error) {
    throw error instanceof ZodError ? malformed(error) : error
  }
}

const inFileOrder = (columns: Columns): Columns[keyof Columns][] =>
  (Object.keys(columnShapes(countsOf(columns))) as (keyof Columns)[]).map((name) => columns[name])

const asBytes = (column: Columns[keyof Columns]): Uint8Array =>
  new Uint8Array(column.buffer, column.byteOffset, column.byteLength)

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

const malformed = ({ issues: [issue] }: ZodError): PolyVeilError =>
  invalid(`Its header is malformed at ${issue.path.join('.')}: ${issue.message}`)

const invalid = (message: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', `The circuit file cannot be used. ${message}`)
