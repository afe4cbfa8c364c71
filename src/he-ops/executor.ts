import { expiringAt, lastUses } from '../circuit/liveness.ts'
import type { Circuit, Op, ValueId } from '../circuit/types.ts'
import { PolyVeilError } from '../errors/index.ts'
import type { Evaluator } from './backend.ts'

/** Thrown when `shouldStop` ends an execution. Everything that the execution created is freed. */
export class ExecutionStopped extends Error {
  /** Number of operations that were done. */
  readonly done: number

  constructor(done: number) {
    super(`Execution was stopped after ${done} operations`)
    this.name = 'ExecutionStopped'
    this.done = done
  }
}

export interface ExecuteOptions<Ct> {
  /**
   * Called after each operation with the number of operations done, their total, and the operation's layer.
   */
  readonly onProgress?: (done: number, total: number, layerIndex: number) => void
  /** Asked before each operation; true ends the execution with `ExecutionStopped`. */
  readonly shouldStop?: () => boolean
  /** Called with each new value. It must neither keep nor free the ciphertext. */
  readonly observe?: (value: ValueId, ciphertext: Ct) => void
  /** The execution frees the inputs too: each after its last use, and all of them when it fails. */
  readonly takeInputs?: boolean
}

/**
 * Executes a verified circuit operation by operation, and frees each value after its last use. Only the
 * result is left when the execution succeeds, and nothing when it throws or is stopped.
 *
 * @param inputs one ciphertext for each `input` operation, by its index; the caller frees them unless
 *   `takeInputs`
 * @returns the encrypted result, which the caller frees
 * @throws ExecutionStopped; TENSOR_MALFORMED when the number of inputs, a level or a scale differs from the
 *   circuit's; errors of the evaluator
 */
export function execute<Ct>(
  circuit: Circuit,
  evaluator: Evaluator<Ct>,
  inputs: readonly Ct[],
  options: ExecuteOptions<Ct> = {},
): Ct {
  const owned = new OwnedValues(evaluator, inputs, options.takeInputs ?? false)
  try {
    requireInputs(circuit, evaluator, inputs)
    return run(circuit, evaluator, inputs, owned, options)
  } catch (error) {
    owned.freeAll()
    throw error
  }
}

function run<Ct>(
  circuit: Circuit,
  evaluator: Evaluator<Ct>,
  inputs: readonly Ct[],
  owned: OwnedValues<Ct>,
  { onProgress, shouldStop, observe }: ExecuteOptions<Ct>,
): Ct {
  const { ops } = circuit
  const last = lastUses(circuit)
  for (let index = 0; index < ops.length; index++) {
    if (shouldStop?.()) throw new ExecutionStopped(index)
    const op = ops[index]
    const value = apply(op, evaluator, inputs, owned)
    owned.set(index, value)
    observe?.(index, value)
    for (const id of expiringAt(op, index, last)) owned.free(id)
    onProgress?.(index + 1, ops.length, op.layer)
  }
  return owned.release(circuit.result)
}

function apply<Ct>(op: Op, evaluator: Evaluator<Ct>, inputs: readonly Ct[], values: OwnedValues<Ct>): Ct {
  switch (op.kind) {
    case 'input':
      return inputs[op.index]
    case 'rotate':
      return evaluator.rotate(values.get(op.source), op.steps)
    case 'conjugate':
      return evaluator.conjugate(values.get(op.source))
    case 'timesI':
      return evaluator.timesI(values.get(op.source))
    case 'dot': {
      const terms = op.terms.map(({ value, constant }) => ({ ciphertext: values.get(value), constant }))
      return evaluator.dot(terms, op.constantScale)
    }
    case 'addPlain':
      return evaluator.addPlain(values.get(op.source), op.constant)
    case 'add':
      return evaluator.add(values.get(op.left), values.get(op.right))
    case 'subtract':
      return evaluator.subtract(values.get(op.left), values.get(op.right))
    case 'multiply':
      return evaluator.multiply(values.get(op.left), values.get(op.right))
    case 'relinearise':
      return evaluator.relinearise(values.get(op.source))
    case 'rescale':
      return evaluator.rescale(values.get(op.source))
    case 'dropLevel':
      return evaluator.dropLevel(values.get(op.source), op.level)
    case 'refresh':
      return evaluator.refresh(values.get(op.source))
    case 'raise':
      return evaluator.raise(values.get(op.source))
  }
}

function requireInputs<Ct>(circuit: Circuit, evaluator: Evaluator<Ct>, inputs: readonly Ct[]): void {
  const { layout, level, scale } = circuit.input
  if (inputs.length !== layout.ciphertexts) {
    throw new PolyVeilError(
      'TENSOR_MALFORMED',
      `The circuit takes ${layout.ciphertexts} ciphertexts, not ${inputs.length}`,
      { expected: layout.ciphertexts, actual: inputs.length },
    )
  }
  for (const input of inputs) {
    if (evaluator.levelOf(input) !== level || evaluator.scaleOf(input) !== scale) {
      throw new PolyVeilError(
        'TENSOR_MALFORMED',
        'An input has another level or scale than the circuit takes',
        {
          level,
          scale,
        },
      )
    }
  }
}

/** Values of one execution, and whether the execution must free them. */
class OwnedValues<Ct> {
  readonly #evaluator: Evaluator<Ct>
  readonly #values = new Map<ValueId, Ct>()
  /** The caller's ciphertexts, and whether the execution must free them. */
  readonly #inputs: Set<Ct>
  readonly #takeInputs: boolean

  constructor(evaluator: Evaluator<Ct>, inputs: readonly Ct[], takeInputs: boolean) {
    this.#evaluator = evaluator
    this.#inputs = new Set(inputs)
    this.#takeInputs = takeInputs
  }

  get(id: ValueId): Ct {
    return this.#values.get(id) as Ct
  }

  set(id: ValueId, value: Ct): void {
    this.#values.set(id, value)
  }

  free(id: ValueId): void {
    const value = this.get(id)
    this.#values.delete(id)
    if (!this.#inputs.has(value)) this.#evaluator.free(value)
    else if (this.#takeInputs) this.#freeInput(value)
  }

  /** Passes a value's ownership to the caller. */
  release(id: ValueId): Ct {
    const value = this.get(id)
    this.#values.delete(id)
    return value
  }

  freeAll(): void {
    for (const id of [...this.#values.keys()]) this.free(id)
    if (this.#takeInputs) for (const input of [...this.#inputs]) this.#freeInput(input)
  }

  #freeInput(input: Ct): void {
    this.#inputs.delete(input)
    this.#evaluator.free(input)
  }
}
