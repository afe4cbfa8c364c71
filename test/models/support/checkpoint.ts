import type { Checkpoint, CPolyNeXtConfig, DownsizeType } from '../../../src/models/index.ts'

/** A 32-bit linear congruential generator of numbers in [-1, 1). */
export function numbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
}

/**
 * A checkpoint with distinct values for a config without attention. The names are written here again from the
 * released layout, independently of the loader. The variance of weights keeps the size of their input.
 */
export function syntheticCheckpoint(
  config: CPolyNeXtConfig,
  seed = 1,
): Map<string, { shape: number[]; data: Float32Array }> {
  const next = numbers(seed)
  const tensors = new Map<string, { shape: number[]; data: Float32Array }>()
  const put = (name: string, shape: number[], value: (x: number) => number): void => {
    const size = shape.reduce((product, n) => product * n, 1)
    tensors.set(name, { shape, data: Float32Array.from({ length: size }, () => value(next())) })
  }
  const weight = (name: string, out: number, inputs: number, kernel: number): void => {
    const deviation = Math.sqrt(3 / (inputs * kernel * kernel))
    put(`${name}.weight`, [out, inputs, kernel, kernel], (x) => x * deviation)
  }
  const norm = (name: string, channels: number, height: number, width: number): void => {
    put(`${name}.gamma_c`, [channels], (x) => 1 + x / 2)
    put(`${name}.gamma_hw`, [1, 1, height, width], (x) => 1 + x / 2)
    put(`${name}.running_mean`, [1, 1, height, width], (x) => x / 2)
    put(`${name}.running_var`, [1, 1, height, width], (x) => 1.5 + x)
    put(`${name}.num_batches_tracked`, [], () => 7)
  }

  const reduction = (r: number, type: DownsizeType, out: number, inputs: number): void => {
    const kernel = type.endsWith('3x3') ? 3 : 2
    if (type.startsWith('full')) {
      weight(`reductions.${r}`, out, inputs, kernel)
    } else {
      weight(`reductions.${r}.0`, inputs, 1, kernel)
      weight(`reductions.${r}.1`, out, inputs, 1)
    }
  }

  weight('stem', config.initChannels, 3, config.stem === 'imagenet' ? 7 : 3)
  for (const [i, cell] of config.geometry.entries()) {
    const { channels, convChannels, mlpChannels, inChannels, stage, height, width } = cell
    if (cell.downsizes) {
      config.downsizeTypes.forEach((type, k) => {
        reduction(2 * stage - 2 + k, type, channels, inChannels)
      })
    }
    put(`cells.${i}.preprocess0.scale`, [1, channels, 1, 1], (x) => 1 + x / 2)
    put(`cells.${i}.preprocess1.scale`, [1, channels, 1, 1], (x) => 1 + x / 2)
    put(`cells.${i}.skip_weight`, [config.sigmoidScales], (x) => x)
    norm(`cells.${i}.postprocess`, channels, height, width)
    for (let j = 0; j < config.nodes[i] / 2; j++) {
      const op = (k: number): string => `cells.${i}.ops.${6 * j + k}`
      weight(op(0), convChannels, channels, 1)
      weight(op(1), convChannels, 1, stage === 0 ? 3 : 5)
      weight(op(2), convChannels, 1, 3)
      weight(`${op(3)}.0`, convChannels, 1, 3)
      weight(`${op(3)}.1`, channels, convChannels, 1)
      norm(`${op(3)}.2`, channels, height, width)
      weight(op(4), mlpChannels, channels, 1)
      norm(`${op(5)}.0`, mlpChannels / 2, height, width)
      weight(`${op(5)}.1`, channels, mlpChannels / 2, 1)
    }
  }
  const { channels, height, width } = config.geometry[config.geometry.length - 1]
  norm('norm', channels, height, width)
  weight('proj', 4 * channels, channels, 1)
  put('head.3.weight', [config.classes, 2 * channels], (x) => x)
  put('head.3.bias', [config.classes], (x) => x)
  put('head.2.p', [], () => 0.1)
  return tensors
}

/** The same checkpoint with height and width exchanged in every map and kernel. */
export function transposed(checkpoint: Checkpoint): Checkpoint {
  return new Map(
    [...checkpoint].map(([name, { shape, data }]) => {
      if (shape.length !== 4) return [name, { shape, data }]
      const [, , height, width] = shape
      const turned = { shape: [shape[0], shape[1], width, height], data: transposeMaps(data, height, width) }
      return [name, turned]
    }),
  )
}

/** Exchanges height and width of each of several consecutive maps. */
export function transposeMaps(data: Float32Array, height: number, width: number): Float32Array {
  const map = height * width
  return data.map((_, i) => {
    const [start, s] = [i - (i % map), i % map]
    return data[start + (s % height) * width + Math.floor(s / height)]
  })
}
