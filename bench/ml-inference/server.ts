import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { importBuilt } from '../../scripts/building/import-built.ts'
import { BATCH, ciphertextFile, circuitOf, type Workspace } from './workspace.ts'

// The stages of the server. It reads public keys and ciphertexts, and never the secret key.

type Circuits = typeof import('../../src/circuit/index.ts')
type Wire = typeof import('../../src/wire/index.ts')
type Flooding = typeof import('../../src/he-ops/flooding.ts')
type Simd = typeof import('../../src/he-ops/simd/index.ts')
type Sessions = typeof import('../../src/he-ops/engines/simd-session.ts')

/**
 * Verifies the circuits that the build has made. The rest of the preparation, the encoding of weights, is
 * done by the process that computes.
 */
export async function preprocessModel(root: string): Promise<void> {
  const { readCircuit, verifyCircuit } = await importBuilt<Circuits>('circuit/index.js')
  for (const batch of [1, BATCH]) verifyCircuit(readCircuit(await readFile(circuitOf(root, batch))))
}

/** Computes the encrypted logits of every ciphertext of the workspace. */
export async function compute({ circuit: file, publicKeys, upload, download, images, batch }: Workspace) {
  const { manifestOf, readCircuit } = await importBuilt<Circuits>('circuit/index.js')
  const { bytesSource } = await importBuilt<Wire>('wire/index.js')
  const { newFloodingKeys } = await importBuilt<Flooding>('he-ops/flooding.js')
  const { SimdEngine } = await importBuilt<Simd>('he-ops/simd/index.js')
  const { openSimdSession } = await importBuilt<Sessions>('he-ops/engines/simd-session.js')
  const circuit = readCircuit(await readFile(file))
  const engine = await SimdEngine.create({ threads: availableParallelism() })
  try {
    const session = await openSimdSession(engine, {
      circuit,
      manifest: manifestOf(circuit),
      keys: engine.newKeySet(circuit.parameters),
      source: bytesSource(await readFile(join(publicKeys, 'keys.bin'))),
      floodingKeys: newFloodingKeys(),
    })
    await mkdir(download, { recursive: true })
    for (let index = 0; index * batch < images; index++) {
      const answer = await session.infer(await readFile(ciphertextFile(upload, index)))
      await writeFile(ciphertextFile(download, index), answer)
    }
  } finally {
    await engine.close()
  }
}
