import type { Preprocessing } from '../preprocessing/types.ts'
import type { CkksParameters } from './parameters/parameters.ts'

/** Index of a value in a circuit: the position of the operation that defines it. */
export type ValueId = number
/** Index into `Circuit.constants`. */
export type ConstantId = number

/** Complex numbers: number k is `real[k] + i * imaginary[k]`. Both arrays have one length. */
export interface ComplexVector {
  readonly real: Float64Array
  readonly imaginary: Float64Array
}

/**
 * Numbers for slots. Slots hold complex numbers; a Float64Array has the real parts where all imaginary parts
 * are zero.
 */
export type SlotVector = Float64Array | ComplexVector

/**
 * Numbers that are multiplied with or added to the slots, repeated with their length as the period: slot s
 * gets number s mod p, where p is the length, a power of two that divides the number of slots. Real constants
 * are Float64Arrays. Products of a factor for each channel and a factor for each position are kept as an
 * outer product.
 */
export type Constant = SlotVector | OuterConstant

/**
 * An outer product: slot s gets `fine[s mod p] * coarse[floor(s / p) mod n]`, where p and n are the lengths
 * of `fine` and `coarse`, both powers of two. `coarse` is real. Constants of many ciphertexts share one
 * `coarse`.
 */
export interface OuterConstant {
  readonly fine: SlotVector
  readonly coarse: Float64Array
}

/**
 * Constants by number. An array is a `ConstantList`; deep circuits have millions of constants and keep them
 * in a `ConstantTable`.
 */
export interface ConstantList extends Iterable<Constant> {
  readonly length: number
  /** @param id from 0 to `length` - 1 */
  at(id: ConstantId): Constant | undefined
  map<T>(body: (constant: Constant, id: ConstantId) => T): T[]
}

/**
 * Level and scale of the value that an operation defines. A value at level l has residues modulo the primes
 * q_0 .. q_l.
 */
export interface ValueType {
  readonly level: number
  readonly scale: number
}

/** One weighted summand of a `dot`. */
export interface Term {
  readonly value: ValueId
  readonly constant: ConstantId
}

interface Defines extends ValueType {
  /** Index into `Circuit.layers`: the layer that the operation belongs to. */
  readonly layer: number
}

/**
 * The operations, in static single assignment form: operation i defines value i. Every value is a ciphertext
 * of two polynomials, except the value of `multiply`, which has three until `relinearise`. Its slots hold
 * complex numbers.
 */
export type Op =
  /** The `index`-th ciphertext of the encrypted input. */
  | ({ readonly kind: 'input'; readonly index: number } & Defines)
  /** slots[s] = source[(s + steps) mod slots]; 0 < steps < slots. Needs a Galois key. */
  | ({ readonly kind: 'rotate'; readonly source: ValueId; readonly steps: number } & Defines)
  /** slots[s] = the complex conjugate of source[s]. Needs the Galois key of element 2N - 1. */
  | ({ readonly kind: 'conjugate'; readonly source: ValueId } & Defines)
  /** slots[s] = i * source[s]. The polynomials are multiplied by X^(N/2); level and scale stay. */
  | ({ readonly kind: 'timesI'; readonly source: ValueId } & Defines)
  /** Sum over terms of value * constant, constants encoded at `constantScale`. No rescale. */
  | ({ readonly kind: 'dot'; readonly terms: readonly Term[]; readonly constantScale: number } & Defines)
  /** value + constant, the constant encoded at the value's scale. */
  | ({ readonly kind: 'addPlain'; readonly source: ValueId; readonly constant: ConstantId } & Defines)
  | ({ readonly kind: 'add'; readonly left: ValueId; readonly right: ValueId } & Defines)
  | ({ readonly kind: 'subtract'; readonly left: ValueId; readonly right: ValueId } & Defines)
  /** Slot-wise complex product; three polynomials; scales multiply. */
  | ({ readonly kind: 'multiply'; readonly left: ValueId; readonly right: ValueId } & Defines)
  /** Back to two polynomials. Needs the relinearisation key. */
  | ({ readonly kind: 'relinearise'; readonly source: ValueId } & Defines)
  /** Divides by the highest prime: level - 1, scale / prime. */
  | ({ readonly kind: 'rescale'; readonly source: ValueId } & Defines)
  /** Drops the highest primes, down to the level of the result. The scale stays. */
  | ({ readonly kind: 'dropLevel'; readonly source: ValueId } & Defines)
  /**
   * Brings a value from the refresh level to the highest level, at the same scale. The server masks it and
   * sends it to the client, who decrypts it and encrypts it anew. All refreshes of a round travel together.
   * Rounds are numbered in the order in which they are sent. A round does not wait for an earlier round whose
   * values it does not need.
   */
  | ({ readonly kind: 'refresh'; readonly source: ValueId; readonly round: number } & Defines)
  /**
   * Brings a value from the raise level to the highest level, at the same scale. A multiple of the raise
   * level's modulus is added to each coefficient. Its message is what is left when the multiples are removed.
   * Needs the keys of the ephemeral secret. `raise.ts` has the details.
   */
  | ({ readonly kind: 'raise'; readonly source: ValueId } & Defines)

export type OpKind = Op['kind']

/**
 * The type of a list that has every kind of operation. Use it with `satisfies`: a list without one of the
 * kinds does not compile, and the message names the kind.
 */
export type EveryOpKind<List extends readonly OpKind[]> = OpKind extends List[number]
  ? readonly OpKind[]
  : { readonly missing: Exclude<OpKind, List[number]> }

/**
 * The slots of the elements of a [C, H, W] tensor, among the slots of one image. Channel c is in ciphertext
 * floor(c / channelsPerCiphertext). With k = c mod channelsPerCiphertext, element (c, y, x) is in slot
 * ((offset + y * rowStride + x * columnStride) * interleave + floor(k / parts)): in its imaginary part where
 * k mod parts is 1, and in its real part otherwise. Slots and parts without an element are zero.
 */
export interface Layout {
  readonly channels: number
  readonly height: number
  readonly width: number
  /** Slots per position (lanes), a power of two. */
  readonly interleave: number
  /** Channels in each slot: 2 for complex slots, 1 for a tensor of one channel. */
  readonly parts: 1 | 2
  /** Channels in each ciphertext, a multiple of `parts` and at most `interleave * parts`. */
  readonly channelsPerCiphertext: number
  /** Positions between vertically neighbouring elements. */
  readonly rowStride: number
  /** Positions between horizontally neighbouring elements. */
  readonly columnStride: number
  /** Position of element (0, 0). */
  readonly offset: number
  readonly ciphertexts: number
}

/** The tensor that the client encrypts. */
export interface InputSpec {
  /** How pictures become inputs; null where the circuit takes preprocessed tensors only. */
  readonly preprocessing: Preprocessing | null
  /** Shape of the preprocessed image, [C, H, W]. */
  readonly image: readonly [number, number, number]
  /**
   * The stem's stride s. The client cuts the image into s x s patches before packing, so that the encrypted
   * tensor has C * s * s channels of H / s x W / s (`spaceToDepth` in layout.ts gives the order).
   */
  readonly patch: number
  readonly layout: Layout
  readonly level: number
  readonly scale: number
  /**
   * Largest absolute value of an input that the circuit supports. It is at least the largest value that
   * preprocessing can yield, and at least `LEAST_INPUT_BOUND`.
   */
  readonly bound: number
}

/**
 * The answer that the client decrypts: logit k is in every slot s of an image with s mod period = k. Slots
 * with k >= classes are zero.
 */
export interface OutputSpec {
  readonly classes: number
  /** Slots of one image after which its answer repeats: a power of two, at least `classes`. */
  readonly period: number
  readonly level: number
  readonly scale: number
  /** Bound of the absolute value of honest logits. A wrapped result exceeds it. */
  readonly bound: number
  /** Bound of the absolute value of imaginary parts, and of slots without a logit, in an honest answer. */
  readonly tolerance: number
  /**
   * Standard deviation, in logit units, of the noise that the server adds to each logit, so that it drowns
   * the noise of the computation.
   */
  readonly flooding: number
  /**
   * The error that the plan allows a logit, as a power of two. Clients round logits to multiples of it, so
   * that the logits that they show do not carry the noise of the decryption. It follows from the precision
   * that was asked for and from the power of two of the logits' deviation.
   */
  readonly precision: number
}

/** How values are refreshed. `refresh.ts` describes the masks that hide them. */
export interface RefreshSpec {
  /** Level at which masked values are sent to the client. */
  readonly level: number
}

/** What is known of raised values. `raise.ts` describes them. */
export interface RaiseSpec {
  /**
   * The circuit takes raised coefficients up to this many times the raise level's modulus, in absolute value.
   */
  readonly bound: number
  /**
   * Stages in each group of the transform between slots and coefficients, as `compile` chose them. Their sum
   * is log2 of the slots after which values repeat. Plans state it; nothing is computed from it.
   */
  readonly stages?: readonly number[]
}

/** A layer of the network, with the figures that the plan gives for it. */
export interface LayerInfo {
  readonly name: string
  readonly kind: string
  /** Output shape [C, H, W], before packing. */
  readonly shape: readonly number[]
  /**
   * Bits by which the errors of the layer's last tensor, with all that came before, lie below its root mean
   * square.
   */
  readonly precisionBits: number
  /**
   * Bits by which the part of the logits' error that comes from this layer lies below the deviation of an
   * image's logits.
   */
  readonly logitBits: number
  /** Share of the slots of the layer's ciphertexts that hold elements. */
  readonly slotsUsed: number
  /** Seconds of one core at the plan's speeds. All layers together take `Estimate.seconds`. */
  readonly seconds: number
}

/**
 * A compiled network. The compiler makes it and the engine executes it. Immutable; `verifyCircuit` checks it.
 */
export interface Circuit {
  readonly model: string
  readonly labels: readonly string[]
  readonly parameters: CkksParameters
  /**
   * Images that share the ciphertexts, a power of two: slot s of image b is slot s * batch + b. Layouts
   * describe one image in its own slots. Operations and constants are those of whole ciphertexts.
   */
  readonly batch: number
  readonly input: InputSpec
  readonly output: OutputSpec
  readonly layers: readonly LayerInfo[]
  readonly constants: ConstantList
  readonly ops: readonly Op[]
  /** The value that is the encrypted answer. */
  readonly result: ValueId
  /** Present where the circuit has refreshes; without them it runs in one shot. */
  readonly refresh?: RefreshSpec
  /** Present where the circuit raises moduli. */
  readonly raise?: RaiseSpec
  /** The planner's estimates, for `inspect` and for progress. */
  readonly estimate: Estimate
}

export interface Estimate {
  /** Seconds of one core of the machine that the cost model was measured on. */
  readonly seconds: number
  /** Deviation of a logit's error. */
  readonly logitError: number
  /**
   * Whether calibration images measured the effect of errors on the logits. Without images `logitError` is an
   * estimate and no bound.
   */
  readonly isMeasured: boolean
  /** Bits by which the logits' error lies below the deviation of an image's logits. */
  readonly precisionBits: number
  readonly memoryBytes: number
  readonly bytes: {
    readonly keys: number
    readonly query: number
    /** Bytes of all refresh rounds together, to the server and to the client; 0 for one shot. */
    readonly refreshUp: number
    readonly refreshDown: number
    readonly response: number
  }
}
