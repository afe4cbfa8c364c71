import type { Circuit } from '../../../src/circuit/types.ts'
import { SimdEngine, type SimdKeySet, type SimdSession } from '../../../src/he-ops/simd/index.ts'
import type { SimdSpeeds } from '../../../src/schedule/cost.ts'
import { bytesSource, type PackedFullRlwe, type PackedRlwe } from '../../../src/wire/index.ts'
import { figure, median } from '../../harness.ts'
import { OperationClock } from '../operation-clock.ts'
import { restorationSteps } from './steps.ts'

/** An engine with the circuit of one restoration, and a clock. */
export class RestorationEngine {
  readonly #circuit: Circuit
  readonly #engine: SimdEngine
  readonly #keys: SimdKeySet
  readonly #session: SimdSession
  readonly #loadSeconds: number
  readonly #clock: OperationClock
  readonly #seconds: number[] = []
  /** Seconds of all timed runs until the query is read, and from the last operation to the answer. */
  #entering = 0
  #leaving = 0

  private constructor(
    circuit: Circuit,
    engine: SimdEngine,
    keys: SimdKeySet,
    session: SimdSession,
    loadSeconds: number,
    speeds: SimdSpeeds,
  ) {
    this.#circuit = circuit
    this.#engine = engine
    this.#keys = keys
    this.#session = session
    this.#loadSeconds = loadSeconds
    this.#clock = new OperationClock(circuit, speeds)
  }

  /** @param keySet the frame of the client's keys @param speeds of the kernels on this machine */
  static async create(
    circuit: Circuit,
    keySet: Uint8Array,
    threads: number,
    speeds: SimdSpeeds,
  ): Promise<RestorationEngine> {
    const engine = await SimdEngine.create({ threads })
    const keys = engine.newKeySet(circuit.parameters)
    const start = performance.now()
    const session = await engine.open(circuit, keys, bytesSource(keySet))
    return new RestorationEngine(circuit, engine, keys, session, secondsSince(start), speeds)
  }

  /** A run that is not timed. */
  run(query: readonly PackedRlwe[]): Promise<PackedFullRlwe> {
    return this.#session.run(query)
  }

  async timedRun(query: readonly PackedRlwe[]): Promise<void> {
    const start = performance.now()
    let last = start
    const lap = (): number => {
      const before = last
      last = performance.now()
      return (last - before) / 1000
    }
    let isFirst = true
    await this.#session.run(query, {
      onProgress: (done) => {
        if (isFirst) this.#entering += lap()
        else this.#clock.charge(done, lap())
        isFirst = false
      },
    })
    this.#leaving += lap()
    this.#seconds.push((last - start) / 1000)
  }

  /** The figures of all timed runs. */
  report() {
    const { threads } = this.#engine
    const runs = this.#seconds.length
    return {
      threads,
      runs,
      seconds: figure(median(this.#seconds)),
      loadSeconds: figure(this.#loadSeconds),
      // Means over the runs. The model has the kernels' speeds on this machine.
      steps: this.#clock.rows(threads, restorationSteps(this.#circuit), runs),
      enteringSeconds: figure(this.#entering / runs),
      leavingSeconds: figure(this.#leaving / runs),
      engineMemoryBytes: { keys: this.#keys.bytes, ...this.#session.memory },
      enginePeakBytes: this.#engine.memory.peak,
    }
  }

  async close(): Promise<void> {
    await this.#engine.close()
  }
}

const secondsSince = (start: number): number => (performance.now() - start) / 1000
