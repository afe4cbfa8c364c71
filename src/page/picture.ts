import type { ImageInput } from '../client/local/image-argument.ts'

/** A picture that was chosen, in a form that the client takes. */
export interface Picture {
  readonly image: ImageInput
  /** What it shows, where that is known. */
  readonly truth?: string
  /** Whether black and white should be swapped; undefined where the picture decides. */
  readonly invert?: boolean
}

/** Called with the picture that is chosen now, or with none. */
export type OnPicture = (picture: Picture | undefined) => void
