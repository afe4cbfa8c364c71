import type { PictureConfig } from '../../config.ts'
import { imagenetFields } from '../imagenet.ts'
import { type MonetConfig, monetConfig } from './config.ts'

function published(layers: readonly number[], dims: readonly number[]): PictureConfig<MonetConfig> {
  return monetConfig({
    layers,
    dims,
    expansion: 3,
    norm: null,
    normBias: null,
    ...imagenetFields('monet'),
  }) as PictureConfig<MonetConfig>
}

/** The published networks (arXiv 2401.17992). Checkpoints show which norms they have. */
export const MONET_PUBLISHED = {
  'monet-t': published([4, 8, 12, 10], [64, 128, 192, 192]),
  'monet-s': published([4, 6, 12, 14], [128, 192, 256, 384]),
}
