import { manifestOf } from '../../src/circuit/index.ts'
import type { Circuit } from '../../src/circuit/types.ts'

const PART_BYTES = 2 ** 24

/** Announces a key set for a circuit and uploads it. @returns its id */
export async function uploadKeySet(url: string, circuit: Circuit, bytes: Uint8Array): Promise<string> {
  const { parametersDigest, galoisElements } = manifestOf(circuit)
  const elements = galoisElements.toSorted((a, b) => a - b)
  const created = await fetch(`${url}/v2/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ parametersDigest, bytes: bytes.length, galoisElements: elements }),
  })
  const { id } = (await created.json()) as { id: string }
  for (let offset = 0; offset < bytes.length; offset += PART_BYTES) {
    await fetch(`${url}/v2/keys/${id}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream', 'upload-offset': String(offset) },
      body: new Uint8Array(bytes.subarray(offset, offset + PART_BYTES)),
    })
  }
  return id
}
