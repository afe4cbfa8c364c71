import { availableParallelism } from 'node:os'
import { type Circuit, manifestOf } from '../../../src/circuit/index.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import { targetOf } from '../../../src/compiler/planner/target/target.ts'
import type { Session } from '../../../src/he-ops/engine.ts'
import { openSimdSession } from '../../../src/he-ops/engines/simd-session.ts'
import { newFloodingKeys } from '../../../src/he-ops/flooding.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import type { PreprocessedImage } from '../../../src/preprocessing/index.ts'
import { maxRotationSources, type Step, stepsOf } from '../../../src/schedule/steps.ts'
import { bytesSource } from '../../../src/wire/index.ts'
import { figure } from '../../harness.ts'

/** Where the server's time went in one run, in seconds. */
export interface Stages {
  readonly threads: number
  readonly logits: Float64Array
  readonly engineMemoryBytes: { readonly keys: number; readonly constants: number; readonly program: number }
  /** The most that the engine's memory has held. */
  readonly enginePeakBytes: number
  readonly seconds: {
    /** All phases, but for the first of the circuit's own after each round. */
    readonly phases: number
    /**
     * Those first phases, with waking the threads before them and completing what the client answered; the
     * query's too.
     */
    readonly resuming: number
    /** From the last phase before a round to its frame, and at the end the same for the logits. */
    readonly leaving: number
    /** Reading and checking the frames of answers. */
    readonly reading: number
    /** The client's part, in which the server waits. */
    readonly client: number
  }
  /** Operations by the size of the map that their layer makes, and kind, the longest first. */
  readonly operations: readonly StageRow[]
  /** The same by kind of layer. */
  readonly layers: readonly StageRow[]
}

export interface StageRow {
  readonly what: string
  readonly operations: number
  readonly seconds: number
  /** By the cost model, on one core of the machine whose speeds it has. */
  readonly modelSeconds: number
  /** Core seconds over those of the model: 1 where the kernels run at their own speed on all threads. */
  readonly ratio?: number
}

/**
 * Runs a circuit on the engine inside this process, with a client beside it, and looks at the clock after
 * each phase. The engine and the frames are those of the service.
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
    // Not counted: what is compiled while it runs is slow.
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
  // One by one, so that it is clear whose time passes.
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

/**
 * Charges time to operations: that of a phase to those of its batch, by their shares in the model's seconds.
 */
class PhaseClock {
  readonly #circuit: Circuit
  /** By the operations that are done at its end. */
  readonly #batches = new Map<number, Step>()
  readonly #measured: Float64Array
  readonly #model: Float64Array
  readonly #seconds = { phases: 0, resuming: 0, leaving: 0, reading: 0, client: 0 }
  #last = performance.now()
  #isFirst = true

  constructor(circuit: Circuit) {
    const { parameters, ops } = circuit
    const { ring, specialPrimes } = parameters
    this.#circuit = circuit
    this.#measured = new Float64Array(ops.length)
    this.#model = targetOf(parameters).costs({ ...circuit, ring, specialPrimes: specialPrimes.length })
    let done = 0
    for (const batch of stepsOf(circuit, maxRotationSources(parameters))) {
      if (batch.kind === 'return') continue
      done += batch.ops.length
      this.#batches.set(done, batch)
    }
  }

  /** @param done operations, at the end of a phase */
  phase(done: number): void {
    const batch = this.#batches.get(done)
    if (batch === undefined) throw new Error(`${done} operations are not the end of a batch`)
    // A round has phases of its own, before the client's part and behind it.
    if (this.#isFirst && batch.kind !== 'refresh') {
      this.lap('resuming')
      this.#isFirst = false
    } else {
      this.#charge(this.lap('phases'), batch.ops)
    }
  }

  #charge(seconds: number, ids: readonly number[]): void {
    const total = ids.reduce((sum, id) => sum + this.#model[id], 0)
    for (const id of ids)
      this.#measured[id] += seconds * (total > 0 ? this.#model[id] / total : 1 / ids.length)
  }

  /** The client has answered. */
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
    return {
      seconds,
      operations: this.#rows(threads, (id) => `${mapOf(layers[ops[id].layer].shape)}: ${ops[id].kind}`),
      layers: this.#rows(threads, (id) => layers[ops[id].layer].kind),
    }
  }

  #rows(threads: number, nameOf: (id: number) => string): StageRow[] {
    const groups = Map.groupBy(this.#circuit.ops.keys(), nameOf)
    const sum = (ids: readonly number[], values: Float64Array): number =>
      ids.reduce((total, id) => total + values[id], 0)
    return [...groups]
      .map(([what, ids]) => {
        const [seconds, model] = [sum(ids, this.#measured), sum(ids, this.#model)]
        return {
          what,
          operations: ids.length,
          seconds: figure(seconds),
          modelSeconds: figure(model),
          ...(model > 0 && { ratio: figure((threads * seconds) / model) }),
        }
      })
      .filter(({ seconds }) => seconds > 0)
      .sort((a, b) => b.seconds - a.seconds)
  }
}

/** Height and width of a layer's map; a head has none. */
const mapOf = ([, height, width]: readonly number[]): string =>
  height === undefined ? 'head' : `${height}x${width}`
