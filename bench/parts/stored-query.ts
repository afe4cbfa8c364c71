import { importBuilt } from '../../scripts/building/import-built.ts'

type Client = typeof import('../../src/client/index.ts')

/** A query that is encrypted once and sent many times, so that the client takes no processor time. */
export interface StoredQuery {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array<ArrayBuffer>
}

/** Makes and uploads a key set, and encrypts an image of zeros. @param model name of a bundled network */
export async function storedQuery(server: string, model: string): Promise<StoredQuery> {
  const { connect, memoryKeyStore } = await importBuilt<Client>('client/index.js')
  const polyveil = await connect(server, { keys: memoryKeyStore() })
  const { id } = await polyveil.keys(model)
  const { digest, input } = await polyveil.manifest(model)
  const [channels, height, width] = input.image
  const frame = await polyveil.encrypt(model, {
    shape: [channels, height, width],
    tensor: new Float64Array(channels * height * width),
  })
  const parameters = { binary_data_size: frame.length }
  const json = Buffer.from(
    JSON.stringify({
      parameters: { key_set: id, manifest_digest: digest },
      inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], parameters }],
    }),
  )
  return {
    url: `${server}/v2/models/${model}/infer`,
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(json.length),
    },
    body: Uint8Array.from(Buffer.concat([json, frame])),
  }
}

/** Sends it. @returns the status, when the whole answer is there */
export async function send({ url, headers, body }: StoredQuery): Promise<number> {
  const answer = await fetch(url, { method: 'POST', headers, body })
  await answer.arrayBuffer()
  return answer.status
}
