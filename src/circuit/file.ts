import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { ZodError, z } from 'zod'
import { PolyVeilError } from '../errors/index.ts'
import {
  type ColumnCounts,
  type Columns,
  columnShapes,
  countsOf,
  fromColumns,
  toColumns,
} from './file-columns.ts'
import { canonicalJson, checkManifest, manifestOf } from './manifest.ts'
import { checkParameters, parametersLiteral } from './parameters.ts'
import type { Circuit } from './types.ts'
import { verifyCircuit } from './verify.ts'

// A circuit file (.pvc), numbers little-endian (as typed arrays are wherever Node and browsers run):
//
//    0   8  magic and version, "PVCIRC02"
//    8   4  length of the header
//   12      header: canonical JSON, then spaces up to a multiple of eight bytes of the file
//           columns as `columnShapes` lists them
//       32  SHA-256 of everything before
//
// Equal circuits give equal bytes.

const MAGIC = utf8ToBytes('PVCIRC02')
const HEADER_START = 12
const DIGEST_BYTES = 32
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
  // The public half is checked by the manifest's own schema, once the circuit is put together.
  model: z.string(),
  labels: z.array(z.string()),
  /** Absent from files of before there were batches. */
  batch: z.number().default(1),
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
  checkPublicSide(circuit)
  const columns = toColumns(circuit)
  const header = headerBytes(circuit, countsOf(columns))
  const parts = [MAGIC, u32(header.length), header, ...inFileOrder(columns).map(asBytes)]
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, DIGEST_BYTES))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  bytes.set(sha256(bytes.subarray(0, offset)), offset)
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
  const { header, end } = readHeader(bytes)
  const circuit = assemble(header, readColumns(bytes, header.counts, end))
  checkPublicSide(circuit)
  verifyCircuit(circuit)
  return circuit
}

/** The digest that identifies a circuit file, in hex: its last 32 bytes. `readCircuit` checks that they are right. */
export function circuitDigest(bytes: Uint8Array): string {
  if (bytes.length < HEADER_START + DIGEST_BYTES) throw invalid('It is too short')
  return bytesToHex(bytes.subarray(bytes.length - DIGEST_BYTES))
}

function headerBytes(circuit: Circuit, counts: ColumnCounts): Uint8Array {
  const { model, labels, batch, input, output, layers, result, estimate, refresh } = circuit
  const parameters = parametersLiteral(circuit.parameters)
  const about = { model, labels, parameters, batch, input, output, layers, result, estimate, refresh }
  const bytes = utf8ToBytes(canonicalJson(checkHeader({ counts, ...about })))
  const end = HEADER_START + bytes.length
  const padded = new Uint8Array(bytes.length + (-end & (ALIGNMENT - 1))).fill(0x20)
  padded.set(bytes)
  return padded
}

function requireIntact(bytes: Uint8Array): void {
  if (bytes.length < HEADER_START + DIGEST_BYTES) throw invalid('It is too short')
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) throw invalid('It has another format or version')
  const digest = bytesToHex(sha256(bytes.subarray(0, bytes.length - DIGEST_BYTES)))
  if (digest !== circuitDigest(bytes)) throw invalid('Its bytes do not have the digest they claim')
}

function readHeader(bytes: Uint8Array): { header: Header; end: number } {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(MAGIC.length, true)
  const end = HEADER_START + length
  if (end > bytes.length - DIGEST_BYTES || end % ALIGNMENT !== 0)
    throw invalid('Its header has a wrong length')
  return { header: checkHeader(parseJson(bytes.subarray(HEADER_START, end))), end }
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

/** Copies the columns out of the file. */
function readColumns(bytes: Uint8Array, counts: ColumnCounts, start: number): Columns {
  const shapes = Object.entries(columnShapes(counts))
  const total = shapes.reduce((sum, [, [type, length]]) => sum + type.BYTES_PER_ELEMENT * length, 0)
  if (start + total + DIGEST_BYTES !== bytes.length) throw invalid('Its length is not what its header says')
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
  const { counts: _, parameters, input, output, ...rest } = header
  return {
    ...rest,
    parameters: checkParameters(parameters),
    input: input as Circuit['input'],
    output: output as Circuit['output'],
    ...fromColumns(columns),
  }
}

/** What a client will be told must be well-formed too: the manifest's checks are the only copy of those rules. */
function checkPublicSide(circuit: Circuit): void {
  try {
    checkManifest(manifestOf(circuit))
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
