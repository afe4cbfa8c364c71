import { inFile, PolyVeilError } from '../../errors/index.ts'
import type { Checkpoint, CheckpointTensor } from '../../models/index.ts'

/** Images with the logits that a trusted implementation computed for them. */
export interface Golden {
  /** [3, H, W] of the file each. */
  readonly inputs: readonly Float64Array[]
  readonly logits: readonly Float64Array[]
}

const GOLDEN_REMEDY =
  'Give a safetensors file with input [n, 3, H, W] and logits [n, classes], of the sizes of this network.'
const IMAGES_REMEDY = "Give a safetensors file with input [n, 3, H, W], of the network's input size."

/** Height and width of the images that are expected, and the length of the logits. */
export interface GoldenShape {
  readonly height: number
  readonly width: number
  readonly classes: number
}

/**
 * Reads a safetensors file with `input` [n, 3, H, W] and `logits` [n, classes].
 *
 * @param count number of images to read; all when absent
 * @throws TENSOR_MISSING, TENSOR_SHAPE, CHECKPOINT_UNREADABLE
 */
export async function readGolden(path: string, shape: GoldenShape, count?: number): Promise<Golden> {
  const { readSafetensors } = await import('../../models/index.ts')
  return inFile({ name: `The golden file ${path}`, remedy: GOLDEN_REMEDY }, async () => {
    const tensors = await readSafetensors(path)
    const inputs = imagesOf(tensors, shape)
    const logits = rowsOf(tensorNamed(tensors, 'logits'), [inputs.length, shape.classes], 'logits')
    return { inputs: inputs.slice(0, count), logits: logits.slice(0, count) }
  })
}

/** Reads only the images, `input` [n, 3, H, W], for calibration. */
export async function readImages(path: string, shape: Omit<GoldenShape, 'classes'>): Promise<Float64Array[]> {
  const { readSafetensors } = await import('../../models/index.ts')
  return inFile({ name: `The calibration file ${path}`, remedy: IMAGES_REMEDY }, async () =>
    imagesOf(await readSafetensors(path), shape),
  )
}

function imagesOf(tensors: Checkpoint, { height, width }: Omit<GoldenShape, 'classes'>): Float64Array[] {
  const input = tensorNamed(tensors, 'input')
  return rowsOf(input, [input.shape[0] ?? 0, 3, height, width], 'input')
}

function tensorNamed(tensors: Checkpoint, name: string): CheckpointTensor {
  const tensor = tensors.get(name)
  if (tensor) return tensor
  throw new PolyVeilError('TENSOR_MISSING', `The file has no tensor "${name}"`, { tensor: name })
}

/** Cuts a tensor along its first axis. */
function rowsOf(tensor: CheckpointTensor, expected: readonly number[], name: string): Float64Array[] {
  const [rows, ...rest] = expected
  if (rows < 1 || tensor.shape.join() !== expected.join()) {
    throw new PolyVeilError(
      'TENSOR_SHAPE',
      `Tensor "${name}" is [${tensor.shape.join(', ')}] where [${expected.join(', ')}] belongs`,
      { tensor: name, expected, found: tensor.shape },
    )
  }
  const size = rest.reduce((product, side) => product * side, 1)
  return Array.from({ length: rows }, (_, k) =>
    Float64Array.from(tensor.data.subarray(k * size, (k + 1) * size)),
  )
}
