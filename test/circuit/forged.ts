import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { HEADER_START, headerEnd } from '../../src/circuit/format/file.ts'
import type { ManifestContent } from '../../src/circuit/manifest/content.ts'
import { canonicalJson, type Manifest } from '../../src/circuit/manifest/manifest.ts'

// Forged manifests and circuit files: their content is changed, and their digests fit.

// biome-ignore lint/suspicious/noExplicitAny: forgers put anything anywhere
export type Loose = any

/** A manifest with the digest of its content. */
export const sealed = (content: ManifestContent): Manifest => ({
  ...content,
  digest: bytesToHex(sha256(utf8ToBytes(canonicalJson(content)))),
})

/** A manifest changed by `edit`, with a digest that fits. */
export function forgedManifest(
  { digest: _, ...content }: Manifest,
  edit: (content: Loose) => void,
): Manifest {
  const changed = structuredClone(content)
  edit(changed)
  return sealed(changed)
}

/** A circuit file whose JSON header is changed by `edit`, with lengths and a digest that fit. */
export function forgedFile(file: Uint8Array, edit: (header: Loose) => void): Uint8Array {
  const end = headerEnd(file, file.length)
  const header = JSON.parse(new TextDecoder().decode(file.subarray(HEADER_START, end)))
  edit(header)
  const json = utf8ToBytes(JSON.stringify(header))
  const padded = json.length + (-(HEADER_START + json.length) & 7)
  const forged = new Uint8Array(HEADER_START + padded + file.length - end).fill(0x20)
  forged.set(file.subarray(0, HEADER_START))
  new DataView(forged.buffer).setUint32(8, padded, true)
  forged.set(json, HEADER_START)
  forged.set(file.subarray(end), HEADER_START + padded)
  return resealed(forged)
}

/** A circuit file with the digest of its bytes. */
export function resealed(file: Uint8Array): Uint8Array {
  file.set(sha256(file.subarray(0, -32)), file.length - 32)
  return file
}
