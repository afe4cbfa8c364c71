import type { CiphertextType } from '../../../circuit/laws.ts'
import type { Op, ValueId } from '../../../circuit/types.ts'

/** An operation without its level, scale and layer. */
export type UntypedOp = Op extends infer O
  ? O extends Op
    ? Omit<O, 'level' | 'scale' | 'layer'>
    : never
  : never

/** The part of an operation that the list writes. */
interface Typed {
  level: number
  scale: number
  layer: number
}

/** The parts of a circuit that an operation belongs to. */
export interface Place {
  /** Index of the layer. */
  readonly layer: number
  /** Index of the noise source. */
  readonly noiseSource: number
}

/** Operations in SSA form, with the type, the noise source and the multiplicity of each. */
export class OperationList {
  readonly ops: Op[] = []
  /** Multiplicity of each operation: the number of equal operations that it stands for. */
  readonly counts: number[] = []
  /** Index of the noise source that each operation belongs to. */
  readonly noiseSourceOf: number[] = []
  readonly #types: CiphertextType[] = []

  /** Level, scale and number of polynomials of a value. */
  type(id: ValueId): CiphertextType {
    return this.#types[id]
  }

  /** @param op an object of its own, which becomes the operation: there are millions */
  append(op: UntypedOp, type: CiphertextType, { layer, noiseSource }: Place, count: number): ValueId {
    const { level, scale } = type
    this.#types.push(type)
    this.counts.push(count)
    this.noiseSourceOf.push(noiseSource)
    const typed = op as Op & Typed
    typed.level = level
    typed.scale = scale
    typed.layer = layer
    return this.ops.push(typed) - 1
  }

  /** Removes all operations from index `length` on. */
  truncate(length: number): void {
    this.ops.length = length
    this.counts.length = length
    this.noiseSourceOf.length = length
    this.#types.length = length
  }
}
