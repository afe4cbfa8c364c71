import type { PictureConfig } from '../../config.ts'
import { defaultPreprocessing } from '../../preprocessing-defaults.ts'
import { type CPolyNeXtConfig, cpolynextConfig } from './config.ts'
import type { CPolyNeXtLiteral } from './literal.ts'

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
} as const satisfies Partial<CPolyNeXtLiteral>

type Published = PictureConfig<CPolyNeXtConfig>

/** The network with the preprocessing that networks of its stem are published with. */
const published = (literal: CPolyNeXtLiteral): Published =>
  cpolynextConfig({
    ...literal,
    preprocessing: defaultPreprocessing(literal.stem, literal.inputSize),
  }) as Published

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
const larger = (initChannels: number, nodes: number[], downsizes: number[]): Published =>
  published({
    ...IMAGENET,
    initChannels,
    nodes,
    downsizes,
    pairedScale: false,
    sigmoidScales: 8,
    downsizeTypes: ['sep3x3', 'full3x3'],
  })

/** The published networks ("Activation-Free Backbones for Image Recognition", ICML 2026). */
export const CPOLYNEXT_PUBLISHED = {
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
}
