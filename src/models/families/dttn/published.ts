import type { PictureConfig } from '../../config.ts'
import { imagenetFields } from '../imagenet.ts'
import { type DttnConfig, dttnConfig } from './config.ts'

function published(layers: readonly number[], dims: readonly number[]): PictureConfig<DttnConfig> {
  return dttnConfig({
    layers,
    dims,
    scale: 3,
    transitions: [false, true, true, true],
    form: null,
    ...imagenetFields('dttn'),
  }) as PictureConfig<DttnConfig>
}

/** The published networks (arXiv 2502.09928). Checkpoints show which form they have. */
export const DTTN_PUBLISHED = {
  'dttn-t': published([6, 6, 16, 6], [96, 128, 160, 192]),
  'dttn-s': published([6, 6, 24, 8], [96, 128, 192, 192]),
  'dttn-l': published([8, 8, 32, 8], [128, 192, 256, 384]),
}
