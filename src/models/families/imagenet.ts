import type { PictureConfig } from '../config.ts'
import { defaultPreprocessing } from '../preprocessing-defaults.ts'

/**
 * The common fields of networks in stages that are published for ImageNet.
 *
 * @param preprocessing name of the published one
 */
export function imagenetFields(
  preprocessing: 'monet' | 'dttn',
): Pick<PictureConfig, 'classes' | 'inputSize' | 'preprocessing'> {
  const inputSize = { height: 224, width: 224 }
  return { classes: 1000, inputSize, preprocessing: defaultPreprocessing(preprocessing, inputSize) }
}
