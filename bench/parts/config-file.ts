import { familyOf, type NetworkConfig } from '../../src/models/index.ts'
import type { Preprocessing } from '../../src/preprocessing/index.ts'

/** The JSON form of a config, as `parseConfig` reads it. */
export const configJson = (config: NetworkConfig): object => ({
  ...familyOf(config).json(config),
  labels: config.labels,
  preprocessing: config.preprocessing === null ? undefined : preprocessingJson(config.preprocessing),
})

function preprocessingJson({ channels, resize, interpolation, mean, std }: Preprocessing) {
  const size = [resize.height, resize.width]
  const method = { interpolation, antialias: interpolation === 'bicubic' }
  return resize.mode === 'squash'
    ? { resize: size, ...method, channels, mean, std }
    : { resize: resize.size, crop: size, ...method, channels, mean, std }
}
