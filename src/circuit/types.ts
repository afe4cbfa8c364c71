import type { Preprocessing } from '../preprocessing/types.ts'
import type { CkksParameters } from './parameters/parameters.ts'

/** Index of a value in a circuit: the position of the operation that defines it. */
export type ValueId = number
/** Index into `Circuit.constants`. */
export type ConstantId = number

/**
 * Real numbers to be multiplied with or added to the slots, repeated with their own length as the period:
 * slot s gets `values[s mod values.length]`. The length is a power of two that divides the number of slots.
 * Where the numbers are products of a factor for each channel and one for each position, they are kept as
 * these.
 */
export type Constant = Float64Array | OuterConstant

/**
 * An outer product: slot s gets `fine[s mod p] * coarse[floor(s / p) mod n]`, p and n being the lengths, both
 * powers of two. Constants of many ciphertexts share one `coarse`.
 */
export interface OuterConstant {
  readonly fine: Float64Array
  readonly coarse: Float64Array
}

/**
 * Constants by their numbers. An array is such a list; deep circuits have millions, which are kept as a
 * `ConstantTable`.
 */
export interface ConstantList extends Iterable<Constant> {
  readonly length: number
  /** @param id from 0 to `length` - 1 */
  at(id: ConstantId): Constant | undefined
  map<T>(body: (constant: Constant, id: ConstantId) => T): T[]
}

/** Level and scale of the value that an operation defines. Level l means the primes q_0 .. q_l. */
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
 * The operations, in static single assignment form: operation i defines value i. All values are ciphertexts
 * of two polynomials, except that of `multiply`, which has three until `relinearise`.
 */
export type Op =
  /** The `index`-th ciphertext of the encrypted input. */
  | ({ readonly kind: 'input'; readonly index: number } & Defines)
  /** slots[s] = source[(s + steps) mod slots]; 0 < steps < slots. Needs a Galois key. */
  | ({ readonly kind: 'rotate'; readonly source: ValueId; readonly steps: number } & Defines)
  /** Sum over terms of value * constant, constants encoded at `constantScale`. No rescale. */
  | ({ readonly kind: 'dot'; readonly terms: readonly Term[]; readonly constantScale: number } & Defines)
  /** value + constant, the constant encoded at the value's scale. */
  | ({ readonly kind: 'addPlain'; readonly source: ValueId; readonly constant: ConstantId } & Defines)
  | ({ readonly kind: 'add'; readonly left: ValueId; readonly right: ValueId } & Defines)
  | ({ readonly kind: 'subtract'; readonly left: ValueId; readonly right: ValueId } & Defines)
  /** Slot-wise product; three polynomials; scales multiply. */
  | ({ readonly kind: 'multiply'; readonly left: ValueId; readonly right: ValueId } & Defines)
  /** Back to two polynomials. Needs the relinearisation key. */
  | ({ readonly kind: 'relinearise'; readonly source: ValueId } & Defines)
  /** Divides by the highest prime: level - 1, scale / prime. */
  | ({ readonly kind: 'rescale'; readonly source: ValueId } & Defines)
  /** Forgets the highest primes, down to the level of the result; the scale stays. */
  | ({ readonly kind: 'dropLevel'; readonly source: ValueId } & Defines)
  /**
   * Brings a value from the refresh level to the highest one, the scale as it was: masked, it goes to the
   * client, who decrypts and encrypts it anew. All refreshes of one round go and come together. Rounds are
   * numbered in the order in which they leave; a round that needs none of the values of another one does not
   * wait for it to come back.
   */
  | ({ readonly kind: 'refresh'; readonly source: ValueId; readonly round: number } & Defines)

export type OpKind = Op['kind']

/**
 * Where the elements of a [C, H, W] tensor sit among the slots of one image: channel c is in ciphertext
 * floor(c / channelsPerCiphertext), and element (c, y, x) in slot ((offset + y * rowStride + x *
 * columnStride) * interleave + c mod channelsPerCiphertext). Slots that hold no element are zero.
 */
export interface Layout {
  readonly channels: number
  readonly height: number
  readonly width: number
  /** Slots per position, a power of two. */
  readonly interleave: number
  /** Channels in each ciphertext, at most `interleave`. */
  readonly channelsPerCiphertext: number
  /** Positions between vertically neighbouring elements. */
  readonly rowStride: number
  /** Positions between horizontally neighbouring elements. */
  readonly columnStride: number
  /** Position of element (0, 0). */
  readonly offset: number
  readonly ciphertexts: number
}

/** What the client encrypts. */
export interface InputSpec {
  /** How pictures become inputs; null: the circuit takes preprocessed tensors only. */
  readonly preprocessing: Preprocessing | null
  /** Shape of the preprocessed image, [C, H, W]. */
  readonly image: readonly [number, number, number]
  /**
   * The stem's stride s: the image is cut into s x s patches of channels before packing, so that the
   * encrypted tensor has C * s * s channels of H / s x W / s (`spaceToDepth` in layout.ts gives the order).
   */
  readonly patch: number
  readonly layout: Layout
  readonly level: number
  readonly scale: number
  /**
   * Largest absolute value of a preprocessed pixel that the circuit supports: at least what preprocessing
   * yields of any picture, and at least `LEAST_INPUT_BOUND`.
   */
  readonly bound: number
}

/**
 * What the client decrypts: logit k in every slot s of an image with s mod period = k, zero where k >=
 * classes.
 */
export interface OutputSpec {
  readonly classes: number
  /** Slots of one image after which its answer repeats, a power of two, at least `classes`. */
  readonly period: number
  readonly level: number
  readonly scale: number
  /** Honest logits are smaller than this in absolute value; a wrapped result is not. */
  readonly bound: number
  /**
   * Imaginary parts, and slots that hold no logit, are less than this in absolute value in an honest answer.
   */
  readonly tolerance: number
  /**
   * Standard deviation, in logit units, of the noise that the server adds to each logit to drown noise of the
   * computation.
   */
  readonly flooding: number
  /**
   * The error that the plan allows a logit, a power of two: clients round logits to multiples of it, so that
   * what they show does not carry the noise of the decryption. It follows from the precision that was asked
   * for and the power of two of the logits' deviation.
   */
  readonly precision: number
}

/** How values are refreshed; `refresh.ts` says which masks hide them. */
export interface RefreshSpec {
  /** Level at which masked values go to the client. */
  readonly level: number
}

/** A layer of the network as users know it, with what the plan says of it. */
export interface LayerInfo {
  readonly name: string
  readonly kind: string
  /** Output shape [C, H, W], before packing. */
  readonly shape: readonly number[]
  /**
   * Bits by which all errors so far, in the layer's last tensor, lie below that tensor's root mean square.
   */
  readonly precisionBits: number
  /**
   * Bits by which the logits' error that comes into this layer alone lies below the deviation of an image's
   * logits.
   */
  readonly logitBits: number
  /** Slots that hold elements, as a fraction of all slots of the layer's ciphertexts. */
  readonly slotsUsed: number
  /**
   * Seconds of one core, at the speeds that the plan was made by; all layers together take
   * `Estimate.seconds`.
   */
  readonly seconds: number
}

/** A compiled network: the artefact between compiler and engine. Immutable; checked by `verifyCircuit`. */
export interface Circuit {
  readonly model: string
  readonly labels: readonly string[]
  readonly parameters: CkksParameters
  /**
   * Images that share the ciphertexts, a power of two: slot s of image b is slot s * batch + b. Layouts are
   * those of one image, in its own slots; operations and constants are those of whole ciphertexts.
   */
  readonly batch: number
  readonly input: InputSpec
  readonly output: OutputSpec
  readonly layers: readonly LayerInfo[]
  readonly constants: ConstantList
  readonly ops: readonly Op[]
  /** The value that is the encrypted answer. */
  readonly result: ValueId
  /** Present when the circuit has refreshes; without them it runs in one shot. */
  readonly refresh?: RefreshSpec
  /** The planner's estimates, for `inspect` and for progress. */
  readonly estimate: Estimate
}

export interface Estimate {
  /** Seconds of one core of the machine the cost model was measured on. */
  readonly seconds: number
  /** Deviation of a logit's error. */
  readonly logitError: number
  /**
   * Whether images said what errors do to the logits; otherwise the logits' error is an estimate and no
   * bound.
   */
  readonly isMeasured: boolean
  /** Bits by which it lies below the deviation of an image's logits. */
  readonly precisionBits: number
  readonly memoryBytes: number
  readonly bytes: {
    readonly keys: number
    readonly query: number
    /** Of all refresh rounds together, to the server and to the client; 0 for one shot. */
    readonly refreshUp: number
    readonly refreshDown: number
    readonly response: number
  }
}
