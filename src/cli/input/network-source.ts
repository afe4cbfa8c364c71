import type { Command } from 'commander'
import { PolyVeilError } from '../../errors/index.ts'
import type { Checkpoint, Network, NetworkConfig } from '../../models/index.ts'
import { UsageError } from '../usage-error.ts'
import { readJsonInput } from './files.ts'
import { whole } from './option-values.ts'

/** Which network a checkpoint is, as the flags say. */
export interface SourceOptions {
  readonly arch?: string
  readonly config?: string
  readonly input?: number
  readonly classes?: number
}

export interface Source {
  readonly checkpoint: Checkpoint
  readonly network: Network
}

export const withSource = (command: Command): Command =>
  command
    .argument('<checkpoint>', 'weights: .pt, .pth or .safetensors')
    .option('--arch <name>', 'the published architecture, see `polyveil models`')
    .option('--config <file>', 'or its configuration as JSON')
    .option('--input <n>', 'side of the square input, where it is not the published one', whole(1, 8192))
    .option('--classes <n>', 'number of classes, where it is not the published one', whole(1, 100_000))

/**
 * Loads and checks the network that the flags describe.
 *
 * @throws UsageError unless exactly one of --arch and --config is given; what `loadNetwork` throws
 */
export async function loadSource(path: string, options: SourceOptions): Promise<Source> {
  const { loadNetwork, readCheckpoint } = await import('../../models/index.ts')
  const config = await configOf(options)
  const checkpoint = await readCheckpoint(path)
  return { checkpoint, network: loadNetwork(checkpoint, config) }
}

async function configOf({ arch, config, input, classes }: SourceOptions): Promise<NetworkConfig> {
  if ((arch === undefined) === (config === undefined)) {
    throw new UsageError('Exactly one of --arch NAME and --config FILE is needed')
  }
  const { architecture, parseConfig } = await import('../../models/index.ts')
  if (arch !== undefined) return architecture(arch, { classes, inputSize: input })
  const json = await readJsonInput(config!, 'The config')
  return parseConfig(withOverrides(json, { input_size: input, num_classes: classes }))
}

/** The config's JSON with the fields that flags replace. */
function withOverrides(json: unknown, fields: Record<string, number | undefined>): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new PolyVeilError('CONFIG_INVALID', 'The config is no JSON object')
  }
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  return { ...json, ...Object.fromEntries(given) }
}
