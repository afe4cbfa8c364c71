import t from 'tap'
import { configJson } from '../../bench/parts/config-file.ts'
import {
  ARCHITECTURES,
  architecture,
  type CPolyNeXtConfig,
  cpolynextConfig,
  parseConfig as parseAny,
  parsePreprocessing,
} from '../../src/models/index.ts'
import { goldenJson } from './support/golden.ts'

// biome-ignore lint/suspicious/noExplicitAny: the tests break the JSON on purpose
type Json = any

/** The golden configs and their variants are of this family. */
const parseConfig = (json: unknown): CPolyNeXtConfig => parseAny(json) as CPolyNeXtConfig

const json = (name: string, change: (json: Json) => void): Json => {
  const copy = structuredClone(goldenJson(name)) as Json
  change(copy)
  return copy
}

t.test('the published architectures have their sizes', async (t) => {
  const tiny = architecture('cpolynext-t')
  t.same(
    [0, 2, 4, 10]
      .map((i) => tiny.geometry[i])
      .map(({ channels, convChannels, mlpChannels, height }) => ({
        channels,
        convChannels,
        mlpChannels,
        height,
      })),
    [
      { channels: 48, convChannels: 48, mlpChannels: 96, height: 56 },
      { channels: 96, convChannels: 96, mlpChannels: 192, height: 28 },
      { channels: 192, convChannels: 144, mlpChannels: 336, height: 14 },
      { channels: 288, convChannels: 216, mlpChannels: 504, height: 7 },
    ],
  )
  const products = (name: 'cpolynext-t' | 'cpolynext-s'): number =>
    architecture(name).nodes.reduce((sum, nodes) => sum + nodes, 0) + 1
  t.equal(products('cpolynext-t'), 73)
  t.equal(products('cpolynext-s'), 131)
  t.equal(architecture('cpolynext-l').geometry.at(-1)?.channels, 576)
  t.equal(architecture('lowres').geometry.at(-1)?.height, 8)
  t.ok(architecture('apolynext-t').attention)
  t.same(Object.keys(ARCHITECTURES), [
    'cpolynext-t',
    'cpolynext-s',
    'cpolynext-b',
    'cpolynext-l',
    'apolynext-t',
    'lowres',
    'monet-t',
    'monet-s',
    'dttn-t',
    'dttn-s',
    'dttn-l',
  ])
  t.throws(() => architecture('resnet-50'), { code: 'MODEL_UNKNOWN', message: /cpolynext-t/ })
  t.throws(() => architecture('toString'), { code: 'MODEL_UNKNOWN' })
})

t.test('architectures take other sizes', async (t) => {
  const oblong = architecture('cpolynext-t', { classes: 7, inputSize: { height: 96, width: 161 } })
  t.equal(oblong.classes, 7)
  t.match(oblong.geometry[0], { height: 24, width: 41 })
  t.match(oblong.geometry[11], { height: 3, width: 6 })
  t.same(oblong.preprocessing.resize, { mode: 'shortSide', size: 167, height: 96, width: 161 })
  t.same(architecture('cpolynext-t').preprocessing.resize, {
    mode: 'shortSide',
    size: 232,
    height: 224,
    width: 224,
  })
  t.same(architecture('lowres', { inputSize: 28 }).preprocessing.resize, {
    mode: 'squash',
    height: 28,
    width: 28,
  })
  t.throws(() => architecture('lowres', { inputSize: 0 }), { code: 'CONFIG_INVALID', message: /input_size/ })
  t.throws(() => architecture('lowres', { labels: ['one'] }), { code: 'CONFIG_INVALID', message: /labels/ })
})

t.test('configs are frozen, and do not share objects with their source', async (t) => {
  const { inputSize, ...rest } = architecture('lowres')
  const size = { ...inputSize }
  const config = cpolynextConfig({ ...rest, inputSize: size })
  size.height = 5
  t.equal(config.inputSize.height, 32)
  t.throws(() => {
    ;(config.nodes as number[])[0] = 2
  }, TypeError)
})

t.test('a config is read from its JSON form', async (t) => {
  const config = parseConfig(goldenJson('micro_s'))
  t.match(config, {
    stem: 'imagenet',
    initChannels: 8,
    nodes: [4, 2, 2, 4],
    downsizes: [1, 2, 3],
    channelMultipliers: [2, 4, 6],
    pairedScale: false,
    sigmoidScales: 8,
    downsizeTypes: ['sep3x3', 'full3x3'],
    classes: 12,
    inputSize: { height: 96, width: 96 },
    attention: false,
  })
  t.same(parseConfig(JSON.stringify(goldenJson('micro_s'))), config, 'text is parsed')
  t.equal(parseConfig(goldenJson('micro_lr')).stem, 'lowres')
  t.same(parseConfig(goldenJson('one_shot')).expansionMlp, [2], 'only the factors of its stages are kept')
  t.ok(parseConfig(goldenJson('micro_attn')).attention)

  const oblong = parseConfig(json('micro_t', (json) => (json.input_size = [64, 100])))
  t.same(oblong.inputSize, { height: 64, width: 100 })
  t.match(oblong.geometry[3], { height: 2, width: 4 })
})

t.test('reductions of kernel 2 drop the odd row and column, those of kernel 3 keep it', async (t) => {
  const maps = (type: string): number[][] =>
    parseConfig(
      json('micro_t', (json) => {
        json.input_size = [60, 106]
        json.config.downsize_type = [type, type]
      }),
    ).geometry.map(({ height, width }) => [height, width])
  t.same(maps('full2x2'), [
    [15, 27],
    [7, 13],
    [3, 6],
    [1, 3],
  ])
  t.same(maps('sep3x3'), [
    [15, 27],
    [8, 14],
    [4, 7],
    [2, 4],
  ])
  const shrunk = (json: Json): void => {
    json.input_size = 16
    json.config.downsize_type = ['sep2x2', 'sep2x2']
  }
  t.throws(() => parseConfig(json('micro_t', shrunk)), { code: 'CONFIG_INVALID', message: /input_size/ })
})

t.test('preprocessing is read from its JSON form', async (t) => {
  const fields = {
    resize: 40,
    interpolation: 'bilinear, half-pixel centres, no antialias',
    channels: 'grey repeated three times',
    mean: [0.2, 0.2, 0.2],
    std: [0.3, 0.3, 0.3],
  }
  const parse = (change: object) =>
    parseConfig(json('one_shot', (json) => (json.preprocessing = { ...fields, ...change }))).preprocessing
  t.same(parse({}), {
    channels: 'grey',
    resize: { mode: 'squash', height: 40, width: 40 },
    interpolation: 'bilinear',
    mean: [0.2],
    std: [0.3],
  })
  t.same(parse({ resize: 44, crop: [40, 40], channels: 'rgb', mean: [0, 1, 2], interpolation: 'bicubic' }), {
    channels: 'rgb',
    resize: { mode: 'shortSide', size: 44, height: 40, width: 40 },
    interpolation: 'bicubic',
    mean: [0, 1, 2],
    std: [0.3, 0.3, 0.3],
  })
  const faults: [field: RegExp, change: object][] = [
    [/preprocessing\.resize/, { resize: 41 }],
    [/preprocessing\.resize/, { resize: 39, crop: 40 }],
    [/preprocessing\.resize/, { resize: [44, 44], crop: 40 }],
    [/preprocessing\.interpolation/, { interpolation: 'lanczos' }],
    [/preprocessing\.channels/, { channels: 'cmyk' }],
    [/preprocessing\.mean/, { mean: [0.1, 0.2, 0.3] }],
    [/preprocessing\.mean/, { channels: 'rgb', mean: [0.1] }],
    [/preprocessing\.std/, { std: [0, 0, 0] }],
  ]
  for (const [message, change] of faults) {
    t.throws(() => parse(change), { code: 'CONFIG_INVALID', message }, JSON.stringify(change))
  }
})

t.test('interpolation and channels accept only known values', async (t) => {
  const fields = { resize: 40, channels: 'rgb', mean: [0.2, 0.2, 0.2], std: [0.3, 0.3, 0.3] }
  const parse = (change: object) =>
    parseConfig(json('one_shot', (json) => (json.preprocessing = { ...fields, ...change }))).preprocessing
  t.equal(parse({ interpolation: 'bicubic' })?.interpolation, 'bicubic')
  t.equal(parse({ interpolation: 'bicubic', antialias: true })?.interpolation, 'bicubic')
  t.equal(parse({ interpolation: 'bilinear', antialias: false })?.interpolation, 'bilinear')
  const sentence = 'bilinear, half-pixel centres, no antialias'
  t.equal(parse({ interpolation: sentence })?.interpolation, 'bilinear')
  const faults: [field: RegExp, change: object][] = [
    [/preprocessing\.antialias.*supported without antialias only/, { interpolation: 'bilinear' }],
    [/preprocessing\.antialias/, { interpolation: 'bilinear', antialias: true }],
    [/preprocessing\.antialias/, { interpolation: 'bicubic', antialias: false }],
    [/preprocessing\.antialias/, { interpolation: sentence, antialias: true }],
    [/preprocessing\.antialias/, { interpolation: 'bicubic', antialias: 'yes' }],
    [/preprocessing\.interpolation/, { interpolation: 'bilinear with antialias' }],
    [/preprocessing\.interpolation/, { interpolation: 'bicubic, no antialias' }],
    [/preprocessing\.channels/, { interpolation: 'bicubic', channels: 'rgb but BGR order' }],
    [/preprocessing\.channels/, { interpolation: 'bicubic', channels: 'grey, inverted' }],
  ]
  for (const [message, change] of faults) {
    t.throws(() => parse(change), { code: 'CONFIG_INVALID', message }, JSON.stringify(change))
  }
})

t.test('unknown fields are refused with the name of a similar field', async (t) => {
  const stated = { resize: 40, interpolation: 'bicubic', channels: 'rgb', mean: [0, 0, 0], std: [1, 1, 1] }
  const faults: [message: RegExp, change: (json: Json) => void][] = [
    [/config's preprocesing .*did you mean preprocessing\?/, (json) => (json.preprocesing = stated)],
    [/config's numClasses .*did you mean num_classes\?/, (json) => (json.numClasses = 10)],
    [/config's colour .*known are network, init_channels/, (json) => (json.colour = 'red')],
    [
      /config's config\.paired_scales .*did you mean paired_scale\?/,
      (json) => (json.config.paired_scales = true),
    ],
    [
      /config's preprocessing\.sdt .*did you mean std\?/,
      (json) => (json.preprocessing = { ...stated, sdt: [1] }),
    ],
    [/config's config\.node_norm/, (json) => (json.config.node_norm = 'none')],
    [/config's preprocessing .*imagenet, lowres/, (json) => (json.preprocessing = 'cifar')],
  ]
  for (const [message, change] of faults) {
    t.throws(
      () => parseConfig(json('one_shot', change)),
      { code: 'CONFIG_INVALID', message },
      String(message),
    )
  }
  t.ok(
    parseConfig(json('one_shot', (json) => (json.accuracy = { top1: 0.5 }))),
    'measured figures may be in the config',
  )
})

t.test('preprocessing comes from a published network, is stated, or is absent', async (t) => {
  for (const name of ['micro_t', 'micro_s', 'micro_lr', 'one_shot']) {
    t.equal(parseConfig(goldenJson(name)).preprocessing, null, `${name} is not a published network`)
  }
  const tiny = (change: object): Json => ({ ...(configJson(architecture('cpolynext-t')) as Json), ...change })
  t.same(
    parseConfig(tiny({ preprocessing: undefined })).preprocessing,
    architecture('cpolynext-t').preprocessing,
  )
  t.equal(parseConfig(tiny({ preprocessing: undefined, num_classes: 10 })).preprocessing, null)
  t.equal(parseConfig(tiny({ preprocessing: undefined, input_size: 192 })).preprocessing, null)
  t.match(parseConfig(tiny({ preprocessing: 'imagenet', input_size: 112 })).preprocessing, {
    resize: { mode: 'shortSide', size: 116, height: 112, width: 112 },
  })
  const own = parsePreprocessing(
    { resize: 64, interpolation: 'bicubic', channels: 'grey', mean: [0.5], std: [0.5] },
    { height: 64, width: 64 },
  )
  t.same(architecture('cpolynext-t', { inputSize: 64, preprocessing: own }).preprocessing, own)
  t.throws(() => architecture('cpolynext-t', { preprocessing: own }), {
    code: 'CONFIG_INVALID',
    message: /resize/,
  })
})

t.test('configs larger than the limits are refused before they are parsed', async (t) => {
  const large = { code: 'TOO_LARGE' }
  const many = Array.from({ length: 2 ** 18 + 1 }, () => 1)
  t.throws(() => parseConfig(json('one_shot', (json) => (json.labels = many))), large)
  t.throws(() => parseConfig(`{"labels":[${'1,'.repeat(2 ** 22)}1]}`), large)
})

t.test('errors name the contradictory field', async (t) => {
  const faults: [field: RegExp, change: (json: Json) => void][] = [
    [/network/, (json) => (json.network = 'ResNet')],
    [/init_channels/, (json) => (json.init_channels = 0)],
    [/init_channels/, (json) => delete json.init_channels],
    [/nodes.*layers is 3/, (json) => (json.layers = 3)],
    [/nodes/, (json) => (json.config.nodes[2] = 3)],
    [/num_classes/, (json) => (json.num_classes = 2.5)],
    [/input_size/, (json) => (json.input_size = [64])],
    [/input_size/, (json) => (json.input_size = -64)],
    [/downsizes/, (json) => moveDownsize(json, '3', 4)],
    [/downsizes/, (json) => (json.config.downsizes = [2, 1, 3])],
    [/channels/, (json) => delete json.config.channels[2]],
    [/channels/, (json) => (json.config.channels[7] = 2)],
    [/expansion_conv/, (json) => json.config.expansion_conv.pop()],
    [/expansion_mlp/, (json) => (json.config.expansion_mlp[1] = 2.2)],
    [/sigmoid_scale/, (json) => (json.config.sigmoid_scale.length = 2)],
    [/sigmoid_scale/, (json) => delete json.config.sigmoid_scale],
    [/downsize_type/, (json) => (json.config.downsize_type = ['sep3x3', 'max'])],
    [
      /downsize_type/,
      (json) => Object.assign(json, { input_size: 36 }).config.downsize_type.splice(1, 1, 'full2x2'),
    ],
    [/labels/, (json) => (json.labels = ['cat', 'dog'])],
  ]
  for (const [message, change] of faults) {
    t.throws(() => parseConfig(json('micro_t', change)), { code: 'CONFIG_INVALID', message }, String(change))
  }
  t.throws(() => parseConfig('{'), { code: 'CONFIG_INVALID' })
  t.throws(() => parseConfig(null), { code: 'CONFIG_INVALID' })
  t.throws(() => parseConfig(json('micro_t', (json) => (json.norm = 'layernorm'))), {
    code: 'NOT_POLYNOMIAL',
  })
})

function moveDownsize(json: Json, from: string, to: number): void {
  json.config.downsizes[2] = to
  json.config.channels[to] = json.config.channels[from]
  delete json.config.channels[from]
}
