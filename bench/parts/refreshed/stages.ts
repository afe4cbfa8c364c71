import { availableParallelism } from 'node:os'
import { type Circuit, manifestOf } from '../../../src/circuit/index.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import type { Session } from '../../../src/he-ops/engine.ts'
import { openSimdSession } from '../../../src/he-ops/engines/simd-session.ts'
import { newFloodingKeys } from '../../../src/he-ops/flooding.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import type { PreprocessedImage } from '../../../src/preprocessing/index.ts'
import { bytesSource } from '../../../src/wire/index.ts'
import { figure } from '../../harness.ts'
import { OperationClock, type StageRow } from '../operation-clock.ts'

/** The server's time in one run by stage, in seconds. */
export interface Stages {
  readonly threads: number
  readonly logits: Float64Array
  readonly engineMemoryBytes: { readonly keys: number; readonly constants: number; readonly program: number }
  /** Peak of the engine's memory. */
  readonly enginePeakBytes: number
  readonly seconds: {
    /** All phases except the first one of the circuit after each round. */
    readonly phases: number
    /**
     * These first phases, with the wake-up of threads before them and the processing of the client's reply.
     * The query counts as a reply.
     */
    readonly resuming: number
    /**
     * From the last phase before a round to its frame, and from the last phase of all to the frame of the
     * logits.
     */
    readonly leaving: number
    /** Reading and checking the frames of replies. */
    readonly reading: number
    /** The client's part, during which the server waits. */
    readonly client: number
  }
  /** Operations by kind and by the map size of their layer, the longest first. */
  readonly operations: readonly StageRow[]
  /** Operations by kind of layer. */
  readonly layers: readonly StageRow[]
}

/**
 * Runs a circuit on the engine in this process, with a client, and reads the clock after each phase. The
 * engine and the frames are those of the service.
 */
export async function measureStages(circuit: Circuit, image: PreprocessedImage): Promise<Stages> {
  const ring = new KeyRing(memoryKeyStore())
  const manifest = manifestOf(circuit)
  const client = new LocalModel(manifest, ring)
  const threads = availableParallelism()
  const engine = await SimdEngine.create({ threads })
  try {
    const keys = engine.newKeySet(circuit.parameters)
    const session = await openSimdSession(engine, {
      circuit,
      manifest,
      keys,
      source: bytesSource(await keySet(client)),
      floodingKeys: newFloodingKeys(),
    })
    const query = await client.encrypt(image)
    // The first run is not counted, because code is still being compiled.
    await clockedRun(circuit, session, client, query)
    const { clock, answer } = await clockedRun(circuit, session, client, query)
    return {
      threads,
      logits: await client.decrypt(answer, { fullPrecision: true }),
      engineMemoryBytes: session.memory,
      enginePeakBytes: engine.memory.peak,
      ...clock.report(threads),
    }
  } finally {
    await engine.close()
    ring.close()
  }
}

async function clockedRun(circuit: Circuit, session: Session, client: LocalModel, query: Uint8Array) {
  const clock = new PhaseClock(circuit)
  // Rounds do not overlap, so that each stage has its own time.
  const control = { onProgress: (done: number): void => clock.phase(done), overlap: false }
  const answer = await session.infer(query, control, async (round, masked, take) => {
    clock.lap('leaving')
    const refreshed = await client.refresh(round, masked)
    clock.lap('client')
    await take(refreshed)
    clock.lap('reading')
    clock.resume()
  })
  clock.lap('leaving')
  return { clock, answer }
}

async function keySet(client: LocalModel): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of client.keySet()) chunks.push(chunk)
  return Buffer.concat(chunks)
}

class PhaseClock {
  readonly #circuit: Circuit
  readonly #operations: OperationClock
  readonly #seconds = { phases: 0, resuming: 0, leaving: 0, reading: 0, client: 0 }
  #last = performance.now()
  #isFirst = true

  constructor(circuit: Circuit) {
    this.#circuit = circuit
    this.#operations = new OperationClock(circuit)
  }

  /** @param done number of operations at the end of the phase */
  phase(done: number): void {
    // A round has its own phases before and after the client's part.
    if (this.#isFirst && this.#operations.stepEndingAt(done).kind !== 'refresh') {
      this.lap('resuming')
      this.#isFirst = false
    } else {
      this.#operations.charge(done, this.lap('phases'))
    }
  }

  /** Called when the client has replied. */
  resume(): void {
    this.#isFirst = true
  }

  lap(what: keyof Stages['seconds']): number {
    const now = performance.now()
    const seconds = (now - this.#last) / 1000
    this.#last = now
    this.#seconds[what] += seconds
    return seconds
  }

  report(threads: number): Pick<Stages, 'seconds' | 'operations' | 'layers'> {
    const { ops, layers } = this.#circuit
    const seconds = Object.fromEntries(
      Object.entries(this.#seconds).map(([what, spent]) => [what, figure(spent)]),
    ) as Stages['seconds']
    const rows = (nameOf: (id: number) => string): StageRow[] =>
      this.#operations
        .rows(threads, nameOf)
        .filter((row) => row.seconds > 0)
        .sort((a, b) => b.seconds - a.seconds)
    return {
      seconds,
      operations: rows((id) => `${mapOf(layers[ops[id].layer].shape)}: ${ops[id].kind}`),
      layers: rows((id) => layers[ops[id].layer].kind),
    }
  }
}

/** Height and width of a layer's map, or `head`. */
const mapOf = ([, height, width]: readonly number[]): string =>
  height === undefined ? 'head' : `${height}x${width}`
