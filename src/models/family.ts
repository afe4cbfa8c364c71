import type { CheckpointLayout } from './checkpoint-layout.ts'
import type { ConfigLiteral, NetworkConfig, PictureConfig } from './config.ts'
import type { Operation } from './network.ts'
import type { PublishedPreprocessing } from './preprocessing-defaults.ts'
import type { TensorSource } from './tensor-reader.ts'

/**
 * A family of networks: its config, the layout of its checkpoints, and its operations. Reader, validation,
 * float reference, compiler and command line know families through this interface alone.
 *
 * @typeParam C the family's checked config
 * @typeParam L the fields that a config states
 */
export interface Family<C extends NetworkConfig = NetworkConfig, L extends ConfigLiteral = ConfigLiteral> {
  /** The value of `family` in configs. */
  readonly name: string
  /** Name of the family for people. */
  readonly title: string
  /** Values of the JSON field `network` that mean this family. */
  readonly networks: readonly string[]
  /** JSON names of fields that callers can replace. */
  readonly jsonNames: { readonly classes: string; readonly inputSize: string }
  /** Published networks by their names, with the preprocessing that they are published with. */
  readonly published: Readonly<Record<string, PictureConfig<C>>>

  /**
   * Reads the fields of the JSON form. Preprocessing is left to the caller.
   *
   * @throws CONFIG_INVALID naming the field; NOT_POLYNOMIAL when the config asks for another normalisation
   */
  parse(json: unknown): L
  /** The JSON form that `parse` reads, without labels and preprocessing. */
  json(config: C): Readonly<Record<string, unknown>>
  /**
   * The one gate to a config. @throws CONFIG_INVALID naming the field that is malformed or contradicts
   * another
   */
  config(literal: L): C
  /** The preprocessing that networks of this config are published with. */
  preprocessing(config: L): PublishedPreprocessing
  /** Number of blocks or cells. */
  blocks(config: C): number

  readonly checkpoint: CheckpointLayout
  /**
   * Reads all tensors that the config prescribes, and describes the network.
   *
   * @throws TENSOR_MISSING, TENSOR_SHAPE, CHECKPOINT_UNREADABLE naming the tensor; CONFIG_INVALID when a
   *   field contradicts the checkpoint
   */
  operations(config: C, tensors: TensorSource): readonly Operation[]
}
