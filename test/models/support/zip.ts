import { crc32 } from 'node:zlib'

/** A stored entry. `claim` replaces fields of its headers. */
export interface ZipEntry {
  readonly name: string
  readonly content: Uint8Array
  readonly claim?: { readonly size?: number; readonly crc?: number; readonly method?: number }
}

/** A zip archive assembled from its structures, so that tests can forge headers (APPNOTE.TXT 4.3). */
export function zip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const entry of entries) {
    const name = Buffer.from(entry.name)
    const fields = commonFields(entry, name.length)
    const local = Buffer.concat([Buffer.from('PK\x03\x04\x14\0'), fields, name, entry.content])
    directory.push(centralHeader(fields, name, offset))
    parts.push(local)
    offset += local.length
  }
  const central = Buffer.concat(directory)
  return Buffer.concat([...parts, central, endRecord(entries.length, central.length, offset)])
}

/** The fields from flags to extra length, which both headers share. */
function commonFields({ content, claim = {} }: ZipEntry, nameLength: number): Buffer {
  const fields = Buffer.alloc(24)
  fields.writeUInt16LE(claim.method ?? 0, 2)
  fields.writeUInt32LE(claim.crc ?? crc32(content), 8)
  fields.writeUInt32LE(claim.size ?? content.length, 12)
  fields.writeUInt32LE(claim.size ?? content.length, 16)
  fields.writeUInt16LE(nameLength, 20)
  return fields
}

function centralHeader(fields: Buffer, name: Buffer, offset: number): Buffer {
  const tail = Buffer.alloc(14)
  tail.writeUInt32LE(offset, 10)
  return Buffer.concat([Buffer.from('PK\x01\x02\x14\0\x14\0'), fields, tail, name])
}

function endRecord(entries: number, size: number, offset: number): Buffer {
  const record = Buffer.alloc(22)
  record.write('PK\x05\x06')
  record.writeUInt16LE(entries, 8)
  record.writeUInt16LE(entries, 10)
  record.writeUInt32LE(size, 12)
  record.writeUInt32LE(offset, 16)
  return record
}
