import { PolyVeilError } from '../errors/index.ts'
import type { Checkpoint } from './checkpoint/index.ts'
import type { CheckpointLayout } from './checkpoint-layout.ts'
import { prefixesOfNetworks } from './prefix.ts'

/** The tensors that a family reads. */
export interface TensorSource {
  /** Whether there is a tensor of this name. */
  has(name: string): boolean
  /**
   * The tensor's own array.
   *
   * @throws TENSOR_MISSING; TENSOR_SHAPE; CHECKPOINT_UNREADABLE when a value is not finite
   */
  take(name: string, shape: readonly number[]): Float32Array
  /** As `take`. @throws CHECKPOINT_UNREADABLE also when a value is negative, since its root is taken */
  takeVariance(name: string, shape: readonly number[]): Float32Array
  /** As `take`. @throws CHECKPOINT_UNREADABLE also when a value is not positive, since it divides */
  takeDenominator(name: string, shape: readonly number[]): Float32Array
}

/** Takes tensors from a checkpoint by name, checks each, and knows which were never taken. */
export class TensorReader implements TensorSource {
  readonly #checkpoint: Checkpoint
  readonly #anchor: string
  readonly #unread: Set<string>

  constructor(checkpoint: Checkpoint, { anchor, ignored }: Pick<CheckpointLayout, 'anchor' | 'ignored'>) {
    this.#checkpoint = checkpoint
    this.#anchor = anchor
    this.#unread = new Set([...checkpoint.keys()].filter((name) => !ignored.test(name)))
  }

  has(name: string): boolean {
    return this.#checkpoint.has(name)
  }

  take(name: string, shape: readonly number[]): Float32Array {
    const tensor = this.#checkpoint.get(name)
    if (!tensor) {
      const facts = { tensor: name, expected: shape }
      throw new PolyVeilError('TENSOR_MISSING', `The checkpoint has no ${name} of shape [${shape}]`, facts)
    }
    if (tensor.shape.join() !== shape.join()) {
      throw new PolyVeilError(
        'TENSOR_SHAPE',
        `${name} has the shape [${tensor.shape}], but the config prescribes [${shape}]`,
        { tensor: name, expected: shape, found: tensor.shape },
      )
    }
    if (!tensor.data.every(Number.isFinite)) throw badValues(name, 'a value that is not finite')
    this.#unread.delete(name)
    return tensor.data
  }

  takeVariance(name: string, shape: readonly number[]): Float32Array {
    const data = this.take(name, shape)
    if (data.some((value) => value < 0)) throw badValues(name, 'a negative variance')
    return data
  }

  takeDenominator(name: string, shape: readonly number[]): Float32Array {
    const data = this.take(name, shape)
    if (data.some((value) => value <= 0)) throw badValues(name, 'a denominator that is not positive')
    return data
  }

  /** @throws CONFIG_INVALID naming the tensors that were never taken */
  refuseUnread(): void {
    const names = [...this.#unread]
    if (names.length === 0) return
    const prefix = this.#prefixBeside(names)
    const hint = prefix === undefined ? '' : `; --prefix ${prefix} reads the network below that name alone`
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The checkpoint has ${names.length} tensors that the config does not prescribe, such as ${names[0]}${hint}`,
      { tensors: names.slice(0, 100) },
      { remedy: prefix && `Give --prefix ${prefix}, in programs readCheckpoint's option prefix.` },
    )
  }

  /**
   * A prefix that leaves out the tensors of these names: that of another network, or the one that the file
   * has before the names of the network, as Lightning writes `criterion.weight` beside `model.`.
   */
  #prefixBeside(names: readonly string[]): string | undefined {
    const others = prefixesOfNetworks(this.#checkpoint, this.#anchor).filter((prefix) => prefix !== '')
    if (others.length > 0) return others[0]
    const own = this.#checkpoint.get(this.#anchor)?.prefix
    return names.every((name) => this.#checkpoint.get(name)?.prefix !== own) ? own : undefined
  }
}

const badValues = (name: string, what: string): PolyVeilError =>
  new PolyVeilError('CHECKPOINT_UNREADABLE', `${name} has ${what}; the checkpoint is damaged`, {
    tensor: name,
  })
