/** Names of tensors by which a family's checkpoints are recognised. */
export interface CheckpointLayout {
  /** A tensor that every network of the family has, and that stands at the root of its names. */
  readonly anchor: string
  /** Names that only networks of this family have. */
  readonly signature: RegExp
  /** The beginning of the names of norms; a training module may have other vectors of weights beside them. */
  readonly norms: RegExp
  /** Tensors that inference does not need. */
  readonly ignored: RegExp
}
