import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { readCircuit } from '../../../src/circuit/index.ts'
import { encryptedBackend } from '../../../src/cli/verification/encrypted.ts'
import { peakResidentBytes } from '../../../src/he-ops/peak-memory.ts'
import type { PreprocessedImage } from '../../../src/preprocessing/index.ts'

// Client and server of one circuit in a process of their own, so that its peak of memory is theirs.

/** The only message to the process. */
export interface CircuitTask {
  readonly file: string
  /** Images as the circuit takes them. */
  readonly images: readonly PreprocessedImage[]
}

type Backend = Awaited<ReturnType<typeof encryptedBackend>>

/** The only message from the process. */
export interface CircuitReport {
  readonly threads: number
  readonly keygenSeconds: number
  /** Reading of the keys, encoding of the weights, and building of the program. */
  readonly loadSeconds: number
  readonly bytes: Backend['bytes']
  readonly engineMemory: Backend['engineMemory']
  readonly images: readonly {
    readonly logits: Float64Array
    readonly encrypt: number
    readonly execute: number
    readonly decrypt: number
  }[]
  /** Both sides together: circuit, key set, engine. */
  readonly peakRssBytes: number
}

process.once('message', async (task: CircuitTask) => {
  process.send!(await runCircuit(task))
  process.disconnect()
})

async function runCircuit({ file, images }: CircuitTask): Promise<CircuitReport> {
  const threads = availableParallelism()
  const backend = await encryptedBackend(readCircuit(await readFile(file)), 'simd', threads)
  const rows: CircuitReport['images'][number][] = []
  for (const image of images) {
    const {
      logits: [logits],
      seconds: { encrypt, execute, decrypt },
    } = await backend.run([image], () => {})
    rows.push({ logits, encrypt, execute, decrypt })
  }
  await backend.close()
  const { keygenSeconds, loadSeconds, bytes, engineMemory } = backend
  const peakRssBytes = peakResidentBytes()
  return { threads, keygenSeconds, loadSeconds, bytes, engineMemory, images: rows, peakRssBytes }
}
