import { z } from 'zod'
import { readWhole } from './checkpoint-file.ts'
import { DATATYPES, type DatatypeName } from './datatypes.ts'
import { unreadable } from './errors.ts'
import { type Checkpoint, type CheckpointTensor, elementCount, MAX_ELEMENTS } from './tensor.ts'

/** The header's length comes first, as a 64-bit number. */
const PREFIX_BYTES = 8
/** Far more than the names of any network take; JSON takes twenty times its length in memory. */
const MAX_HEADER_BYTES = 4 * 2 ** 20
/** Tensors of one file. */
const MAX_TENSORS = 2 ** 15

const offset = z.number().int().nonnegative()
const entrySchema = z.object({
  dtype: z.enum(Object.keys(DATATYPES) as [DatatypeName, ...DatatypeName[]]),
  shape: z.array(z.number().int().nonnegative()).max(8),
  data_offsets: z.tuple([offset, offset]),
})

interface Entry {
  readonly name: string
  readonly dtype: DatatypeName
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

/**
 * Reads a safetensors file; names are kept as they are.
 *
 * @throws CHECKPOINT_UNREADABLE when the file is missing or malformed; see `parseSafetensors`
 */
export async function readSafetensors(path: string | URL): Promise<Checkpoint> {
  return parseSafetensors(await readWhole(path))
}

/**
 * Parses the safetensors format (github.com/huggingface/safetensors): a 64-bit header length, a JSON header,
 * and the tensors' bytes, which must cover the rest of the file without hole or overlap.
 *
 * @throws CHECKPOINT_UNREADABLE naming the tensor when a length, datatype, shape or offset does not hold
 */
export function parseSafetensors(bytes: Uint8Array): Checkpoint {
  const headerBytes = headerLength(bytes)
  const entries = parseHeader(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes))
  const data = bytes.subarray(PREFIX_BYTES + headerBytes)
  checkCover(entries, data.byteLength)
  return new Map(entries.map((entry) => [entry.name, readTensor(entry, data)]))
}

function headerLength(bytes: Uint8Array): number {
  if (bytes.byteLength < PREFIX_BYTES) throw unreadable('it is too short for a safetensors file')
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
  if (length > BigInt(Math.min(bytes.byteLength - PREFIX_BYTES, MAX_HEADER_BYTES))) {
    throw unreadable('its header is longer than the file or than allowed')
  }
  return Number(length)
}

function parseHeader(bytes: Uint8Array): Entry[] {
  const { __metadata__, ...tensors } = parseJson(bytes)
  const names = Object.keys(tensors)
  if (names.length > MAX_TENSORS) throw unreadable(`it has ${names.length} tensors, more than ${MAX_TENSORS}`)
  // One by one: a schema for the whole record would leave out a tensor called __proto__.
  return Object.entries(tensors).map(([name, description]) => parseEntry(name, description))
}

function parseEntry(name: string, description: unknown): Entry {
  const parsed = entrySchema.safeParse(description)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]
    throw unreadable(`its header is malformed at ${[name, ...path].join('.')}: ${message}`)
  }
  const { dtype, shape, data_offsets } = parsed.data
  const [begin, end] = data_offsets
  return { name, dtype, shape, begin, end }
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw unreadable('its header is no JSON', {}, cause)
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw unreadable('its header is no JSON object')
  }
  return header as Record<string, unknown>
}

/** Offsets that neither overlap nor leave holes also bound the memory that the tensors take. */
function checkCover(entries: readonly Entry[], dataBytes: number): void {
  let position = 0
  let elements = 0
  for (const entry of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    const { name, begin, end, dtype, shape } = entry
    if (begin !== position || end < begin) {
      throw unreadable(`tensor ${name} overlaps another or leaves a hole`, { tensor: name })
    }
    if (elementCount(shape) * DATATYPES[dtype].bytes !== end - begin) {
      throw unreadable(`tensor ${name} has ${end - begin} bytes, which do not fill its shape`, {
        tensor: name,
      })
    }
    position = end
    elements += elementCount(shape)
  }
  if (position !== dataBytes) {
    throw unreadable(`it has ${dataBytes} bytes of data, but its header describes ${position}`)
  }
  if (elements > MAX_ELEMENTS) throw unreadable(`it has ${elements} elements, more than ${MAX_ELEMENTS}`)
}

function readTensor({ dtype, shape, begin, end }: Entry, data: Uint8Array): CheckpointTensor {
  const { bytes, read } = DATATYPES[dtype]
  const view = new DataView(data.buffer, data.byteOffset + begin, end - begin)
  const values = new Float32Array(elementCount(shape))
  for (let i = 0; i < values.length; i++) values[i] = read(view, i * bytes)
  return { shape, data: values, datatype: dtype }
}
