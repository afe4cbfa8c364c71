import type { NetworkConfig } from '../../src/models/index.ts'

/** A config as it stands beside a checkpoint: what `parseConfig` reads. */
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
    preprocessing: preprocessingJson(config),
  }
}

function preprocessingJson({ preprocessing: { channels, resize, interpolation, mean, std } }: NetworkConfig) {
  const size = [resize.height, resize.width]
  return resize.mode === 'squash'
    ? { resize: size, interpolation, channels, mean, std }
    : { resize: resize.size, crop: size, interpolation, channels, mean, std }
}
