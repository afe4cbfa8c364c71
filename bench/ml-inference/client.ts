import { createWriteStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { importBuilt } from '../../scripts/building/import-built.ts'
import type { LocalModel } from '../../src/client/index.ts'
import { imageAt, parsePixels } from './pixels.ts'
import { ciphertextFile, type Workspace } from './workspace.ts'

// The stages of the client. Each is a process of its own, so what one has the next reads from files.

type Client = typeof import('../../src/client/index.ts')
type Circuits = typeof import('../../src/circuit/index.ts')

/** The model on the client, with the secret key of the workspace. */
async function localModel({ circuit, secretKey }: Workspace): Promise<LocalModel> {
  const { directoryKeyStore, KeyRing, LocalModel } = await importBuilt<Client>('client/index.js')
  const { manifestOf, readCircuit } = await importBuilt<Circuits>('circuit/index.js')
  const manifest = manifestOf(readCircuit(await readFile(circuit)))
  return new LocalModel(manifest, new KeyRing(directoryKeyStore(secretKey)))
}

/** Makes the secret key, and the public and evaluation keys for the server. */
export async function generateKeys(space: Workspace): Promise<void> {
  await mkdir(space.secretKey, { recursive: true })
  await mkdir(space.publicKeys, { recursive: true })
  const model = await localModel(space)
  await model.keyFingerprint()
  await pipeline(Readable.from(model.keySet()), createWriteStream(join(space.publicKeys, 'keys.bin')))
}

/** Reads the images. */
export async function preprocessInput({ pixels, preprocessed, images }: Workspace): Promise<void> {
  const bytes = parsePixels(await readFile(pixels, 'utf8'))
  if (bytes.length !== imageAt(bytes, 0).data.length * images) {
    throw new Error(`${pixels} does not have ${images} images`)
  }
  await mkdir(dirname(preprocessed), { recursive: true })
  await writeFile(preprocessed, bytes)
}

/** Encrypts the images, as many in one ciphertext as share it. */
export async function encryptInput(space: Workspace): Promise<void> {
  const { images, batch, upload } = space
  const bytes = await readFile(space.preprocessed)
  await mkdir(upload, { recursive: true })
  const model = await localModel(space)
  for (let first = 0, file = 0; first < images; first += batch, file++) {
    const count = Math.min(batch, images - first)
    const those = Array.from({ length: count }, (_, i) => imageAt(bytes, first + i))
    await writeFile(ciphertextFile(upload, file), await model.encrypt(those))
  }
}

/** Decrypts the logits of all images. */
export async function decrypt(space: Workspace): Promise<void> {
  const { images, batch, download } = space
  const model = await localModel(space)
  const logits: number[][] = []
  for (let file = 0; file * batch < images; file++) {
    const rows = await model.decryptBatch(await readFile(ciphertextFile(download, file)))
    logits.push(...rows.map((row) => [...row]))
  }
  await writeFile(space.logits, JSON.stringify(logits.slice(0, images)))
}

/** Writes the label of each image. */
export async function postprocess({ logits, predictions }: Workspace): Promise<void> {
  const rows = JSON.parse(await readFile(logits, 'utf8')) as number[][]
  const labels = rows.map((row) => row.indexOf(Math.max(...row)))
  await writeFile(predictions, labels.map((label) => `${label}\n`).join(''))
}
