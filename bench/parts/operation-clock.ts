import type { Circuit, ValueId } from '../../src/circuit/index.ts'
import { targetOf } from '../../src/compiler/planner/target/target.ts'
import type { SimdSpeeds } from '../../src/schedule/cost.ts'
import { maxDigitSources, type Step, stepsOf } from '../../src/schedule/steps.ts'
import { figure } from '../harness.ts'

export interface StageRow {
  readonly what: string
  readonly operations: number
  readonly seconds: number
  /** Seconds by the cost model, on one core of the machine whose speeds it uses. */
  readonly modelSeconds: number
  /** Core seconds relative to those of the model: 1 if all threads reach the speed of the kernels alone. */
  readonly ratio?: number
}

/**
 * Attributes the time of a phase to the operations of its step, in proportion to their seconds in the model.
 */
export class OperationClock {
  /** The steps by the number of operations that are done at their end. */
  readonly #steps = new Map<number, Step>()
  readonly #measured: Float64Array
  readonly #model: Float64Array

  /** @param speeds of the model; by default those of the reference machine */
  constructor(circuit: Circuit, speeds?: SimdSpeeds) {
    const { parameters, ops } = circuit
    const { ring, specialPrimes } = parameters
    this.#measured = new Float64Array(ops.length)
    this.#model = targetOf(parameters, speeds).costs({
      ...circuit,
      ring,
      specialPrimes: specialPrimes.length,
    })
    let done = 0
    for (const step of stepsOf(circuit, maxDigitSources(parameters))) {
      if (step.kind === 'return') continue
      done += step.ops.length
      this.#steps.set(done, step)
    }
  }

  /** @throws when no step ends after so many operations */
  stepEndingAt(done: number): Step {
    const step = this.#steps.get(done)
    if (step === undefined) throw new Error(`${done} operations are not the end of a step`)
    return step
  }

  /** Adds the seconds of a phase to the operations of the step that ends after `done` operations. */
  charge(done: number, seconds: number): void {
    const { ops } = this.stepEndingAt(done)
    const total = ops.reduce((sum, id) => sum + this.#model[id], 0)
    for (const id of ops) {
      this.#measured[id] += seconds * (total > 0 ? this.#model[id] / total : 1 / ops.length)
    }
  }

  /**
   * The seconds of all operations in groups, in the order of each group's first operation.
   *
   * @param threads that have computed
   * @param runs whose phases were charged
   */
  rows(threads: number, nameOf: (id: ValueId) => string, runs = 1): StageRow[] {
    const groups = Map.groupBy(this.#measured.keys(), nameOf)
    const sum = (ids: readonly number[], values: Float64Array): number =>
      ids.reduce((total, id) => total + values[id], 0)
    return [...groups].map(([what, ids]) => {
      const [seconds, model] = [sum(ids, this.#measured) / runs, sum(ids, this.#model)]
      return {
        what,
        operations: ids.length,
        seconds: figure(seconds),
        modelSeconds: figure(model),
        ...(model > 0 && { ratio: figure((threads * seconds) / model) }),
      }
    })
  }
}
