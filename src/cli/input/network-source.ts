import type { Command } from 'commander'
import { PolyVeilError } from '../../errors/index.ts'
import type { Network, NetworkConfig, Weights } from '../../models/index.ts'
import type { Progress } from '../output/progress.ts'
import { UsageError } from '../usage-error.ts'
import { readJsonInput } from './files.ts'
import { whole } from './option-values.ts'

/** Flags that describe the network of a checkpoint. */
export interface SourceOptions {
  readonly arch?: string
  readonly config?: string
  readonly input?: number
  readonly classes?: number
  /** Entry of the checkpoint, and the prefix of its names. */
  readonly weights?: string
  readonly prefix?: string
  /** The name of a published preprocessing, or a file of one. */
  readonly preprocessing?: string
}

export interface Source {
  readonly weights: Weights
  readonly network: Network
}

/** Flags of the network that a checkpoint has the weights of. */
export const withNetwork = (command: Command): Command =>
  command
    .option('--arch <name>', 'the published architecture, see `polyveil models`')
    .option('--config <file>', 'or its configuration as JSON')
    .option('--input <n>', 'side of the square input, where it is not the published one', whole(1, 8192))
    .option('--classes <n>', 'number of classes, where it is not the published one', whole(1, 100_000))
    .option(
      '--weights <name>',
      'the entry of the checkpoint to read (default: averaged weights before raw ones)',
    )
    .option('--prefix <prefix>', 'what stands before the names of its tensors, such as backbone.')

export const withSource = (command: Command): Command =>
  withNetwork(command.argument('<checkpoint>', 'weights: .pt, .pth or .safetensors')).option(
    '--preprocessing <which>',
    'how pictures become inputs: imagenet, lowres, dttn, monet or a JSON file, instead of what the config says',
  )

/**
 * Loads and checks the network that the flags describe.
 *
 * @throws UsageError unless exactly one of --arch and --config is given; what `readWeights` and `loadNetwork`
 *   throw
 */
export async function loadSource(path: string, options: SourceOptions, progress: Progress): Promise<Source> {
  progress.step('loading the checkpoint')
  const { loadNetwork, readWeights } = await import('../../models/index.ts')
  const config = await configOf(options)
  const weights = await readWeights(path, options)
  for (const note of weights.notes) progress.note(`${path}: ${note}`)
  try {
    return { weights, network: loadNetwork(weights.tensors, config) }
  } catch (error) {
    throw withEntry(error, weights)
  }
}

/** Adds to an error which state dict was read, when the file has several. */
function withEntry(error: unknown, weights: Weights): unknown {
  if (!(error instanceof PolyVeilError) || weights.entries.length < 2) return error
  const { code, message, facts, remedy } = error
  return new PolyVeilError(code, `${message} (${entryText(weights)})`, facts, { cause: error, remedy })
}

/** Most entries that a line lists. */
const MOST_LISTED = 20

/** Text on the entry that was read, and on the others. */
export function entryText({ entry, entries }: Weights): string {
  const names = entries.filter(({ name }) => name !== entry && name !== '').map(({ name }) => name)
  const others = names.length > 0 ? `; --weights can choose ${names.slice(0, MOST_LISTED).join(', ')}` : ''
  return entry === '' ? `weights read: the state dict${others}` : `weights read: the entry ${entry}${others}`
}

/** The entries for `--json`. */
export const entryDocument = ({ entry, entries }: Weights): object => ({
  entry: entry === '' ? null : entry,
  entries: entries.map(({ name }) => name).filter((name) => name !== ''),
})

async function configOf(options: SourceOptions): Promise<NetworkConfig> {
  const { arch, config, input, classes } = options
  if ((arch === undefined) === (config === undefined)) {
    throw new UsageError('Exactly one of --arch NAME and --config FILE is needed')
  }
  const { architecture, parseConfig, parsePreprocessing } = await import('../../models/index.ts')
  const stated = await statedPreprocessing(options)
  if (arch === undefined) {
    const json = await readJsonInput(config!, 'The config')
    return ofPreprocessing(options, () =>
      parseConfig(json, { inputSize: input, classes, preprocessing: stated }),
    )
  }
  const published = architecture(arch, { classes, inputSize: input })
  if (stated === undefined) return published
  return ofPreprocessing(options, () => {
    const preprocessing = parsePreprocessing(stated, published.inputSize)
    return architecture(arch, { classes, inputSize: input, preprocessing })
  })
}

/** The value of --preprocessing: a published name, or the JSON of a file. */
async function statedPreprocessing({ preprocessing: which }: SourceOptions): Promise<unknown> {
  if (which === undefined) return undefined
  return (await isPublishedName(which)) ? which : readJsonInput(which, 'The preprocessing')
}

async function isPublishedName(which: string): Promise<boolean> {
  const { PUBLISHED_PREPROCESSINGS } = await import('../../models/index.ts')
  return PUBLISHED_PREPROCESSINGS.some((name) => name === which)
}

/** Runs `body`. A fault of the preprocessing gets the name of the file that states it. */
async function ofPreprocessing(
  { preprocessing: which }: SourceOptions,
  body: () => NetworkConfig,
): Promise<NetworkConfig> {
  try {
    return body()
  } catch (error) {
    const isIts = error instanceof PolyVeilError && /^preprocessing\b/.test(String(error.facts.field))
    if (which === undefined || !isIts || (await isPublishedName(which))) throw error
    throw error.restated(`The preprocessing ${which}: ${error.message}`)
  }
}
