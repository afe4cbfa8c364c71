import type { NetworkConfig } from '../../src/models/index.ts'
import type { Preprocessing } from '../../src/preprocessing/index.ts'

/** The JSON form of a config, as `parseConfig` reads it. */
export function configJson(config: NetworkConfig): object {
  const { height, width } = config.inputSize
  return {
    network: config.stem === 'lowres' ? 'NetworkPoly' : 'NetworkPolyImageNet',
    init_channels: config.initChannels,
    layers: config.nodes.length,
    num_classes: config.classes,
    input_size: [height, width],
    norm: 'bn',
    config: {
      nodes: config.nodes,
      downsizes: config.downsizes,
      channels: Object.fromEntries(config.downsizes.map((cell, k) => [cell, config.channelMultipliers[k]])),
      expansion_conv: config.expansionConv,
      expansion_mlp: config.expansionMlp,
      sigmoid_scale: Array<number>(config.sigmoidScales).fill(0.5),
      paired_scale: config.pairedScale,
      downsize_type: config.downsizeTypes,
      attn: config.attention,
    },
    labels: config.labels,
    preprocessing: config.preprocessing === null ? undefined : preprocessingJson(config.preprocessing),
  }
}

function preprocessingJson({ channels, resize, interpolation, mean, std }: Preprocessing) {
  const size = [resize.height, resize.width]
  const method = { interpolation, antialias: interpolation === 'bicubic' }
  return resize.mode === 'squash'
    ? { resize: size, ...method, channels, mean, std }
    : { resize: resize.size, crop: size, ...method, channels, mean, std }
}
