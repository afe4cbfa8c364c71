import { z } from 'zod'
import { invalidConfig } from '../invalid-config.ts'
import { HALVING_2X2, type KernelShape, outputSize, POINTWISE } from '../kernel.ts'
import { readConvolution } from '../layer-reader.ts'
import type { OperationId } from '../network.ts'
import type { OperationList } from '../operation-list.ts'
import type { TensorSource } from '../tensor-reader.ts'

// Networks in stages: two convolutions make patches of 4 x 4 pixels, or of one pixel at low resolution, and
// later stages halve the map.

/** The kernel that the two first convolutions can have; it is also their stride. */
export const stemKernelSchema = z.union([z.literal(1), z.literal(2)])

export type StemKernel = z.infer<typeof stemKernelSchema>

/** Side of a patch, which both convolutions make together. */
const patchOf = (kernel: StemKernel): number => kernel ** 2

/** Width and map size of a stage. */
export interface StageGeometry {
  readonly channels: number
  readonly height: number
  readonly width: number
}

interface Stages {
  readonly inputSize: { readonly height: number; readonly width: number }
  readonly dims: readonly number[]
  readonly stemKernel: StemKernel
  /** Whether each stage begins by halving the map. */
  readonly halves: readonly boolean[]
  /** Kernel of the convolutions that halve the map. One without padding takes even maps only. */
  readonly kernel: KernelShape
}

/**
 * Widths and map sizes of all stages.
 *
 * @throws CONFIG_INVALID naming `input` when the sides of the image, or a map, do not divide; naming `dims`
 *   when the width changes where no convolution changes it
 */
export function stagesOf({ inputSize, dims, stemKernel, halves, kernel }: Stages): StageGeometry[] {
  const halvings = kernel.padding === 0 ? halves.filter(Boolean).length : 0
  const patch = patchOf(stemKernel)
  const divisor = patch * 2 ** halvings
  let { height, width } = inputSize
  if (height % divisor !== 0 || width % divisor !== 0) {
    throw invalidConfig('input', `the sides ${height} and ${width} do not divide by ${divisor}`)
  }
  height /= patch
  width /= patch
  return dims.map((channels, i) => {
    if (i > 0 && !halves[i] && channels !== dims[i - 1]) {
      throw invalidConfig(
        `dims[${i}]`,
        `the stage has ${channels} channels and begins without a convolution, so it must have the ${dims[i - 1]} of the stage before`,
      )
    }
    if (halves[i]) {
      height = outputSize(height, kernel)
      width = outputSize(width, kernel)
    }
    return { channels, height, width }
  })
}

/** Checks that lists of a config have a value for each stage. @throws CONFIG_INVALID naming the field */
export function checkStages(stages: number, lists: Readonly<Record<string, readonly unknown[]>>): void {
  for (const [name, { length }] of Object.entries(lists)) {
    if (length !== stages) throw invalidConfig(name, `${length} values, but layers has ${stages} stages`)
  }
}

/** Reads and appends the convolutions `fs` and `fs2`, which make patches. */
export function patchStem(
  list: OperationList,
  tensors: TensorSource,
  channels: number,
  stemKernel: StemKernel,
): OperationId {
  const kernel = stemKernel === 1 ? POINTWISE : HALVING_2X2
  const [inChannels] = list.shape(list.input)
  const first = readConvolution(tensors, 'fs', inChannels, channels, kernel, { bias: true })
  const second = readConvolution(tensors, 'fs2', channels, channels, kernel, { bias: true })
  return list.convolution(second, list.convolution(first, list.input, 'fs'), 'fs2', ['stem'])
}
