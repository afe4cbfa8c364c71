/** How a decoded image becomes the network's input tensor. The same on every platform. */
export interface Preprocessing {
  /** `grey` sends one channel (networks trained on a grey image repeated three times); `rgb` sends three. */
  readonly channels: 'rgb' | 'grey'
  /** `squash` resizes to the given size; `shortSide` resizes the short side, then crops the centre. */
  readonly resize:
    | { readonly mode: 'squash'; readonly height: number; readonly width: number }
    | { readonly mode: 'shortSide'; readonly size: number; readonly height: number; readonly width: number }
  /**
   * `bicubic` is antialiased as in PIL; `bilinear` has half-pixel centres and no antialias, as torch's
   * interpolate.
   */
  readonly interpolation: 'bicubic' | 'bilinear'
  /** One value for each channel sent; pixels are divided by 255 first. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
}
