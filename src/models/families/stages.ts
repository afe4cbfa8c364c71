import { invalidConfig } from '../invalid-config.ts'
import { HALVING_2X2 } from '../kernel.ts'
import { readConvolution } from '../layer-reader.ts'
import type { OperationId } from '../network.ts'
import type { OperationList } from '../operation-list.ts'
import type { TensorSource } from '../tensor-reader.ts'

// Networks in stages: two convolutions of kernel 2 make patches of 4 x 4 pixels, and later stages halve the
// map.

/** Width and map size of a stage. */
export interface StageGeometry {
  readonly channels: number
  readonly height: number
  readonly width: number
}

interface Stages {
  readonly inputSize: { readonly height: number; readonly width: number }
  readonly dims: readonly number[]
  /** Whether each stage begins by halving the map. */
  readonly halves: readonly boolean[]
}

/**
 * Widths and map sizes of all stages.
 *
 * @throws CONFIG_INVALID naming `input` when the sides of the image cannot be halved as often as the network
 *   does
 */
export function stagesOf({ inputSize, dims, halves }: Stages): StageGeometry[] {
  const divisor = 4 * 2 ** halves.filter(Boolean).length
  const { height, width } = inputSize
  if (height % divisor !== 0 || width % divisor !== 0) {
    throw invalidConfig('input', `the sides ${height} and ${width} do not divide by ${divisor}`)
  }
  let factor = 4
  return dims.map((channels, i) => {
    if (halves[i]) factor *= 2
    return { channels, height: height / factor, width: width / factor }
  })
}

/** Reads and appends the convolutions `fs` and `fs2`, which make patches of 4 x 4 pixels. */
export function patchStem(list: OperationList, tensors: TensorSource, channels: number): OperationId {
  const [inChannels] = list.shape(list.input)
  const first = readConvolution(tensors, 'fs', inChannels, channels, HALVING_2X2, { bias: true })
  const second = readConvolution(tensors, 'fs2', channels, channels, HALVING_2X2, { bias: true })
  return list.convolution(second, list.convolution(first, list.input, 'fs'), 'fs2', ['stem'])
}
