import { PolyVeilError } from '../errors/index.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import { type NetworkConfig, networkConfig, type PictureConfig } from './config.ts'
import type { NetworkConfigLiteral } from './config-literal.ts'
import { defaultPreprocessing } from './preprocessing-defaults.ts'

const cells = (count: number, nodes: number): number[] => Array<number>(count).fill(nodes)

/** The fields that all published ImageNet networks share. */
const IMAGENET = {
  stem: 'imagenet',
  channelMultipliers: [2, 4, 6],
  expansionConv: [1, 1, 0.75, 0.75],
  expansionMlp: [2, 2, 1.75, 1.75],
  attention: false,
  classes: 1000,
  inputSize: { height: 224, width: 224 },
} as const satisfies Partial<NetworkConfigLiteral>

/** The network with the preprocessing that networks of its stem are published with. */
function published(literal: NetworkConfigLiteral): PictureConfig {
  const preprocessing = defaultPreprocessing(literal.stem, literal.inputSize)
  return networkConfig({ ...literal, preprocessing }) as PictureConfig
}

const TINY = published({
  ...IMAGENET,
  initChannels: 48,
  nodes: cells(12, 6),
  downsizes: [2, 4, 10],
  pairedScale: true,
  sigmoidScales: 6,
  downsizeTypes: ['sep3x3', 'sep3x3'],
})

/** S, B and L reduce s1 with a dense convolution and give every branch its own Sigmoid-Scale. */
const larger = (initChannels: number, nodes: number[], downsizes: number[]): PictureConfig =>
  published({
    ...IMAGENET,
    initChannels,
    nodes,
    downsizes,
    pairedScale: false,
    sigmoidScales: 8,
    downsizeTypes: ['sep3x3', 'full3x3'],
  })

/** The published architectures ("Activation-Free Backbones for Image Recognition", ICML 2026). */
export const ARCHITECTURES = Object.freeze({
  'cpolynext-t': TINY,
  'cpolynext-s': larger(72, [...cells(3, 6), ...cells(14, 8)], [3, 6, 14]),
  'cpolynext-b': larger(84, cells(21, 8), [3, 8, 18]),
  'cpolynext-l': larger(96, cells(24, 8), [3, 9, 21]),
  'apolynext-t': published({ ...TINY, attention: true }),
  lowres: published({
    stem: 'lowres',
    initChannels: 72,
    nodes: cells(8, 6),
    downsizes: [2, 5],
    channelMultipliers: [2, 4],
    expansionConv: [1, 1, 1],
    expansionMlp: [2, 2, 2],
    pairedScale: false,
    sigmoidScales: 6,
    downsizeTypes: ['sep3x3', 'sep3x3'],
    attention: false,
    classes: 10,
    inputSize: { height: 32, width: 32 },
  }),
})

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
export function architecture(name: string, options: ArchitectureOptions = {}): PictureConfig {
  if (!Object.hasOwn(ARCHITECTURES, name)) {
    const known = Object.keys(ARCHITECTURES)
    throw new PolyVeilError('MODEL_UNKNOWN', `No architecture "${name}"; known are ${known.join(', ')}`, {
      known,
    })
  }
  const known = ARCHITECTURES[name as ArchitectureName]
  const { classes = known.classes, inputSize: size = known.inputSize, labels, preprocessing } = options
  const inputSize = typeof size === 'number' ? { height: size, width: size } : size
  const sized = { ...known, classes, inputSize, labels, preprocessing: undefined }
  // Checked before the preprocessing is, which follows the input size.
  networkConfig(sized)
  return preprocessing ? (networkConfig({ ...sized, preprocessing }) as PictureConfig) : published(sized)
}

/** Whether a config is that of a published network in all but labels and preprocessing. */
export const isPublished = (config: NetworkConfig): boolean =>
  Object.values(ARCHITECTURES).some((known) => essence(known) === essence(config))

const essence = ({ labels, preprocessing, geometry, ...rest }: NetworkConfig): string =>
  JSON.stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)))
