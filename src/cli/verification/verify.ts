import type { Circuit, InputSpec } from '../../circuit/index.ts'
import { imageTensor } from '../../client/index.ts'
import type { EngineMemory } from '../../he-ops/engine.ts'
import { peakResidentBytes } from '../../he-ops/peak-memory.ts'
import type { PreprocessedImage } from '../../preprocessing/index.ts'
import { type Comparison, compare } from '../comparison.ts'
import type { Golden } from '../input/golden.ts'
import type { Progress } from '../output/progress.ts'
import { Stopwatch } from '../stopwatch.ts'
import type { BackendName, BatchSeconds, VerificationBackend } from './backend.ts'
import { inRange, runSeparating } from './in-range.ts'

/** Result of a verification, with the fields that `verify --json` prints. */
export interface Verification extends Comparison {
  readonly backend: BackendName
  readonly images: number
  /**
   * Images without an answer, by their place in the golden file. The comparison covers the others; its
   * figures are NaN when there are none.
   */
  readonly outOfRange: readonly number[]
  /** Images that share one query. */
  readonly batch: number
  /** Sums over all images. */
  readonly seconds: BatchSeconds & { readonly keygen: number; readonly total: number }
  /** Mean seconds for an image, without making keys. */
  readonly secondsPerImage: number
  /** Bytes on the wire: of the keys, and of the frames of one inference. */
  readonly bytes: VerificationBackend['bytes']
  readonly rounds: number
  /** Engine memory, known before the run. */
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
    const answered = golden.logits.flatMap((expected, k) =>
      logits[k] ? [{ expected, found: logits[k] }] : [],
    )
    const keygen = engine.keygenSeconds
    const images = golden.inputs.length
    const { encrypt, execute, refreshClient, decrypt } = seconds
    return {
      backend,
      images,
      batch: circuit.batch,
      outOfRange: golden.logits.flatMap((_, k) => (logits[k] ? [] : [k])),
      ...compare(
        answered.map(({ found }) => found),
        answered.map(({ expected }) => expected),
      ),
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

/**
 * @returns the logits of each golden image; undefined for one that is out of range before or after execution
 */
async function runImages(
  circuit: Circuit,
  golden: Golden,
  engine: VerificationBackend,
  progress: Progress,
): Promise<{ logits: (Float64Array | undefined)[]; seconds: BatchSeconds }> {
  const logits: (Float64Array | undefined)[] = golden.inputs.map(() => undefined)
  const seconds = { encrypt: 0, execute: 0, refreshClient: 0, decrypt: 0 }
  const sendable = await placesWithin(golden, circuit.input)
  for (let first = 0; first < sendable.length; first += circuit.batch) {
    const places = sendable.slice(first, first + circuit.batch)
    progress.step(`image ${places.at(-1)! + 1} of ${golden.inputs.length}`)
    const images = places.map((place) => sentChannels(golden.inputs[place], circuit.input))
    const result = await runSeparating(engine, images, (done, total) => progress.update(done, total))
    for (const [k, place] of places.entries()) logits[place] = result.logits[k]
    if (result.seconds) addSeconds(seconds, result.seconds)
  }
  return { logits, seconds }
}

function addSeconds(sum: { -readonly [Part in keyof BatchSeconds]: number }, part: BatchSeconds): void {
  sum.encrypt += part.encrypt
  sum.execute += part.execute
  sum.refreshClient += part.refreshClient
  sum.decrypt += part.decrypt
}

/** Places of the golden images whose values are within the circuit's bound. */
async function placesWithin({ inputs }: Golden, input: InputSpec): Promise<number[]> {
  const places: number[] = []
  for (const [place, image] of inputs.entries()) {
    if (await inRange(() => imageTensor(sentChannels(image, input), input))) places.push(place)
  }
  return places
}

/** The channels of a golden image that the circuit takes: three, or the first of three equal ones. */
function sentChannels(image: Float64Array, { image: shape }: InputSpec): PreprocessedImage {
  const [channels, height, width] = shape
  return { shape, tensor: image.subarray(0, channels * height * width) }
}
