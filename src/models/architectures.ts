import { PolyVeilError } from '../errors/index.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import type { NetworkConfig, PictureConfig } from './config.ts'
import { ARCHITECTURES, familyOf } from './families/index.ts'
import { defaultPreprocessing } from './preprocessing-defaults.ts'

export type ArchitectureName = keyof typeof ARCHITECTURES

/** The fields that may differ from the published network. */
export interface ArchitectureOptions {
  readonly classes?: number
  /** One number for a square, or both sides. */
  readonly inputSize?: number | { readonly height: number; readonly width: number }
  readonly labels?: readonly string[]
  /** Default: the one that the network is published with, for its input size. */
  readonly preprocessing?: Preprocessing
}

/**
 * A published architecture, by default with its published classes, input size and preprocessing.
 *
 * @throws MODEL_UNKNOWN for another name; CONFIG_INVALID when the options do not fit it
 */
export function architecture<N extends ArchitectureName>(
  name: N,
  options?: ArchitectureOptions,
): (typeof ARCHITECTURES)[N]
export function architecture(name: string, options?: ArchitectureOptions): PictureConfig
export function architecture(name: string, options: ArchitectureOptions = {}): PictureConfig {
  if (!Object.hasOwn(ARCHITECTURES, name)) {
    const known = Object.keys(ARCHITECTURES)
    throw new PolyVeilError('MODEL_UNKNOWN', `No architecture "${name}"; known are ${known.join(', ')}`, {
      known,
    })
  }
  const known: PictureConfig = ARCHITECTURES[name as ArchitectureName]
  const family = familyOf(known)
  const { classes = known.classes, inputSize: size = known.inputSize, labels, preprocessing } = options
  const inputSize = typeof size === 'number' ? { height: size, width: size } : size
  const sized = { ...known, classes, inputSize, labels, preprocessing: undefined }
  // Checked before the preprocessing is, which follows the input size.
  family.config(sized)
  const own = preprocessing ?? defaultPreprocessing(family.preprocessing(known), inputSize)
  return family.config({ ...sized, preprocessing: own }) as PictureConfig
}

/**
 * Whether a config is that of a published network in all but labels and preprocessing. A field that is null
 * in the published network is shown by the checkpoint, and may be stated.
 */
export const isPublished = (config: NetworkConfig): boolean =>
  Object.values(ARCHITECTURES).some((known) => {
    const shown = Object.entries(known).flatMap(([field, value]) => (value === null ? [field] : []))
    return essence(known, shown) === essence(config, shown)
  })

/** Fields that do not make a network, or follow from those that do. */
const INESSENTIAL = ['labels', 'preprocessing', 'geometry']

const essence = (config: NetworkConfig, shown: readonly string[]): string =>
  JSON.stringify(
    Object.entries(config)
      .filter(([field]) => !INESSENTIAL.includes(field) && !shown.includes(field))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
