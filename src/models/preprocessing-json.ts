import { z } from 'zod'
import type { Preprocessing } from '../preprocessing/types.ts'
import type { ConfigLiteral } from './config.ts'
import { invalidConfig } from './invalid-config.ts'
import { sides, size } from './json-fields.ts'
import { invalidBySchema } from './known-keys.ts'
import { defaultPreprocessing, PUBLISHED_PREPROCESSINGS } from './preprocessing-defaults.ts'

/** The sentence for torch's `interpolate`: the same as `bilinear` with `antialias` false. */
const TORCH_BILINEAR = 'bilinear, half-pixel centres, no antialias'

const schema = z.strictObject({
  resize: size,
  /** Absent: the image is squashed to `resize`. */
  crop: size.optional(),
  interpolation: z.enum(['bicubic', 'bilinear', TORCH_BILINEAR]),
  antialias: z.boolean().optional(),
  channels: z.enum(['rgb', 'grey', 'grey repeated three times']),
  mean: z.array(z.number()).min(1).max(3),
  std: z.array(z.number()).min(1).max(3),
  /** Where images come from, for people. */
  source: z.string().optional(),
})

type Fields = z.infer<typeof schema>

/**
 * Reads the JSON form of a preprocessing: its fields, or the name of a published one.
 *
 * @throws CONFIG_INVALID naming the field that is missing, unknown, malformed, or asks for what is not
 *   supported
 */
export function parsePreprocessing(json: unknown, inputSize: ConfigLiteral['inputSize']): Preprocessing {
  if (typeof json === 'string') {
    const name = PUBLISHED_PREPROCESSINGS.find((published) => published === json)
    if (name) return defaultPreprocessing(name, inputSize)
    throw invalidConfig('preprocessing', `it names none of ${PUBLISHED_PREPROCESSINGS.join(', ')}`)
  }
  const parsed = z.object({ preprocessing: schema }).safeParse({ preprocessing: json })
  if (!parsed.success) {
    throw invalidBySchema(parsed.error.issues, { preprocessing: Object.keys(schema.shape) })
  }
  const fields = parsed.data.preprocessing
  const channels = fields.channels === 'rgb' ? 'rgb' : 'grey'
  return {
    channels,
    resize: parseResize(fields.resize, fields.crop),
    interpolation: parseInterpolation(fields),
    mean: channels === 'grey' ? oneValue('mean', fields.mean) : fields.mean,
    std: channels === 'grey' ? oneValue('std', fields.std) : fields.std,
  }
}

/**
 * Images are resized as PIL does, with antialias, where nothing else is said; of each method one of the two
 * is supported.
 */
function parseInterpolation({ interpolation, antialias }: Fields): Preprocessing['interpolation'] {
  const isTorch = interpolation === TORCH_BILINEAR
  const antialiased = antialias ?? !isTorch
  if (isTorch && antialiased) {
    throw invalidConfig('preprocessing.antialias', 'the interpolation says that there is none')
  }
  if (interpolation === 'bicubic') {
    if (antialiased) return 'bicubic'
    throw invalidConfig('preprocessing.antialias', 'bicubic is supported with antialias only, as PIL resizes')
  }
  if (!antialiased) return 'bilinear'
  throw invalidConfig(
    'preprocessing.antialias',
    'bilinear is supported without antialias only: state "antialias": false if training resized so, as ' +
      "torch's interpolate does",
  )
}

function parseResize(
  resize: number | [number, number],
  crop: number | [number, number] | undefined,
): Preprocessing['resize'] {
  if (crop === undefined) {
    const [height, width] = sides(resize)
    return { mode: 'squash', height, width }
  }
  if (typeof resize !== 'number') {
    throw invalidConfig('preprocessing.resize', 'beside a crop it must be the length of the short side')
  }
  const [height, width] = sides(crop)
  return { mode: 'shortSide', size: resize, height, width }
}

/** A grey image is sent as one channel, which stands for three only if all three are normalised alike. */
function oneValue(field: 'mean' | 'std', values: readonly number[]): number[] {
  if (values.some((value) => value !== values[0])) {
    throw invalidConfig(`preprocessing.${field}`, 'the channels of a grey image must have one value')
  }
  return [values[0]]
}
