import type { Circuit, InputSpec } from '../../circuit/index.ts'
import { peakResidentBytes } from '../../he-ops/execution/peak-memory.ts'
import type { EngineMemory } from '../../he-ops/execution/session.ts'
import type { PreprocessedImage } from '../../preprocessing/index.ts'
import { type Comparison, compare } from '../comparison.ts'
import type { Golden } from '../input/golden.ts'
import type { Progress } from '../output/progress.ts'
import { Stopwatch } from '../stopwatch.ts'
import type { BackendName, BatchSeconds, VerificationBackend } from './backend.ts'

/** What a verification found, field by field as `verify --json` prints it. */
export interface Verification extends Comparison {
  readonly backend: BackendName
  readonly images: number
  /** Images that share the ciphertexts. */
  readonly batch: number
  /** Sums over all images. */
  readonly seconds: BatchSeconds & { readonly keygen: number; readonly total: number }
  /** Without keys, which are made once. */
  readonly secondsPerImage: number
  /** Keys once; the others for one inference. */
  readonly bytes: VerificationBackend['bytes']
  readonly rounds: number
  /** Of the engine's memory, known before it ran. */
  readonly engineMemoryBytes: EngineMemory
  readonly peakRssBytes: number
}

/** Runs every golden image through a circuit and compares with the golden logits. */
export async function verify(
  circuit: Circuit,
  golden: Golden,
  backend: BackendName,
  progress: Progress,
): Promise<Verification> {
  const watch = new Stopwatch()
  progress.step(backend === 'clear' ? 'preparing' : 'making keys')
  const engine = await createBackend(circuit, backend)
  try {
    const { logits, seconds } = await runImages(circuit, golden, engine, progress)
    const keygen = engine.keygenSeconds
    const images = golden.inputs.length
    const { encrypt, execute, refreshClient, decrypt } = seconds
    return {
      backend,
      images,
      batch: circuit.batch,
      ...compare(logits, golden.logits),
      seconds: { keygen, ...seconds, total: watch.lap() },
      secondsPerImage: (encrypt + execute + refreshClient + decrypt) / images,
      bytes: engine.bytes,
      rounds: engine.rounds,
      engineMemoryBytes: engine.engineMemory,
      peakRssBytes: peakResidentBytes(),
    }
  } finally {
    await engine.close()
  }
}

async function createBackend(circuit: Circuit, backend: BackendName): Promise<VerificationBackend> {
  if (backend === 'clear') return (await import('./clear.ts')).clearBackend(circuit)
  return (await import('./encrypted.ts')).encryptedBackend(circuit, backend)
}

async function runImages(
  circuit: Circuit,
  golden: Golden,
  engine: VerificationBackend,
  progress: Progress,
): Promise<{ logits: Float64Array[]; seconds: BatchSeconds }> {
  const logits: Float64Array[] = []
  const seconds = { encrypt: 0, execute: 0, refreshClient: 0, decrypt: 0 }
  const { length } = golden.inputs
  for (let first = 0; first < length; first += circuit.batch) {
    const images = golden.inputs.slice(first, first + circuit.batch)
    progress.step(`image ${first + images.length} of ${length}`)
    const result = await engine.run(
      images.map((image) => sentChannels(image, circuit.input)),
      (done, total) => progress.update(done, total),
    )
    logits.push(...result.logits)
    seconds.encrypt += result.seconds.encrypt
    seconds.execute += result.seconds.execute
    seconds.refreshClient += result.seconds.refreshClient
    seconds.decrypt += result.seconds.decrypt
  }
  return { logits, seconds }
}

/** A golden image has the network's three channels; where the circuit takes one, they are equal. */
function sentChannels(image: Float64Array, { image: shape }: InputSpec): PreprocessedImage {
  const [channels, height, width] = shape
  return { shape, tensor: image.subarray(0, channels * height * width) }
}
