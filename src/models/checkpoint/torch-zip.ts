import { buffer } from 'node:stream/consumers'
import { crc32 } from 'node:zlib'
import yauzl, { type Entry, type ZipFile } from 'yauzl'
import { PolyVeilError } from '../../errors/index.ts'
import { unreadable } from './errors.ts'

/** A T network has about a thousand entries. */
const MAX_ENTRIES = 2 ** 16
/** Of the names, fields and comments of all entries together; the format would allow 192 kB for each. */
const MAX_DIRECTORY_BYTES = 16 * 2 ** 20
const STORED = 0
const PICKLE = '/data.pkl'

/** The zip archive that `torch.save` writes, read by name and by random access. */
export interface TorchZip {
  has(name: string): boolean
  /** Size of an entry's content, without reading it. @throws CHECKPOINT_UNREADABLE when there is none */
  sizeOf(name: string): number
  /** Content of an entry, its CRC checked. @throws CHECKPOINT_UNREADABLE when it is missing or damaged */
  read(name: string): Promise<Uint8Array>
}

/**
 * Opens a checkpoint for the time of `body`. Entries are stored, never compressed, so nothing can be larger
 * than the file itself; names are relative to the archive's own folder (`data.pkl`, `data/0`).
 *
 * @throws CHECKPOINT_UNREADABLE when the file is no such archive
 */
export async function withTorchZip<T>(path: string, body: (zip: TorchZip) => Promise<T>): Promise<T> {
  const file = await yauzl.openPromise(path, { autoClose: false, lazyEntries: true }).catch((cause) => {
    throw unreadable('the zip archive is damaged or truncated', {}, cause)
  })
  try {
    const entries = await listEntries(file)
    const folder = findFolder(entries)
    const find = (name: string): Entry => {
      const entry = entries.get(`${folder}/${name}`)
      if (!entry) throw unreadable(`the archive has no ${name}`, { entry: name })
      return entry
    }
    return await body({
      has: (name) => entries.has(`${folder}/${name}`),
      sizeOf: (name) => find(name).uncompressedSize,
      read: (name) => readEntry(file, find(name)),
    })
  } finally {
    file.close()
  }
}

async function listEntries(file: ZipFile): Promise<Map<string, Entry>> {
  if (file.entryCount > MAX_ENTRIES) {
    throw unreadable(`the archive has ${file.entryCount} entries, more than ${MAX_ENTRIES}`)
  }
  const entries = new Map<string, Entry>()
  let bytes = 0
  try {
    for await (const entry of file.eachEntry()) {
      bytes += entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength
      if (bytes > MAX_DIRECTORY_BYTES) throw unreadable("the archive's directory is too long")
      if (entries.has(entry.fileName)) throw unreadable('the archive has two entries of one name')
      entries.set(entry.fileName, entry)
    }
  } catch (cause) {
    throw damaged(cause)
  }
  return entries
}

/** The folder that holds the pickle; its name is whatever the file was called when it was saved. */
function findFolder(entries: ReadonlyMap<string, Entry>): string {
  const pickles = [...entries.keys()].filter((name) => name.endsWith(PICKLE))
  if (pickles.length !== 1) {
    throw unreadable(`the archive has ${pickles.length} pickles; torch.save writes one`)
  }
  return pickles[0].slice(0, -PICKLE.length)
}

async function readEntry(file: ZipFile, entry: Entry): Promise<Uint8Array> {
  if (entry.compressionMethod !== STORED || entry.isEncrypted()) {
    throw unreadable('the archive is compressed or encrypted; torch.save stores entries as they are')
  }
  const content = await file
    .openReadStreamPromise(entry)
    .then(buffer)
    .catch((cause) => {
      throw damaged(cause)
    })
  if (crc32(content) !== entry.crc32) {
    throw unreadable('an entry does not match its checksum', { entry: entry.fileName })
  }
  return content
}

const damaged = (cause: unknown): Error =>
  cause instanceof PolyVeilError ? cause : unreadable('the zip archive is damaged or truncated', {}, cause)
