import { basename, extname } from 'node:path'
import { type Command, Option } from 'commander'
import type { Circuit } from '../../circuit/index.ts'
import { isModelName, MODEL_NAME_RULE } from '../../circuit/manifest/model-name.ts'
import {
  OBJECTIVES,
  type Objective,
  REFRESH_CHOICES,
  type RefreshChoice,
  requireNoContradiction,
} from '../../compiler/choices.ts'
import type { Compiled, Link, TargetName } from '../../compiler/index.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { Network } from '../../models/index.ts'
import { ENGINE_NAMES } from '../../schedule/engine-name.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { withHeapForCheckpoint } from '../heap.ts'
import { readImages } from '../input/golden.ts'
import { readLabels } from '../input/labels.ts'
import {
  entryDocument,
  entryText,
  loadSource,
  type SourceOptions,
  withSource,
} from '../input/network-source.ts'
import { batch, link, whole } from '../input/option-values.ts'
import { otherWayText, planText } from '../output/plan-text.ts'
import { NO_PREPROCESSING } from '../output/preprocessing-text.ts'
import { writeCircuitFile } from '../output/write-circuit.ts'
import { checkWritable } from '../output/write-file.ts'
import { UsageError } from '../usage-error.ts'

interface CompileFlags extends SourceOptions {
  readonly out?: string
  readonly name?: string
  readonly labels?: string
  readonly calibrate?: string
  readonly refresh: RefreshChoice
  readonly offlineClient?: boolean
  readonly batch: number | 'auto'
  readonly ring: 'auto' | '8192' | '16384' | '32768' | '65536'
  readonly precision: number
  readonly objective: Objective
  readonly target?: TargetName
  readonly network?: Link
  readonly speeds: 'measured' | 'reference'
  readonly dryRun?: boolean
  readonly force?: boolean
}

/** `polyveil compile` */
export const compileCommand = (): Command =>
  withSource(command('compile', 'fold, plan and lower a network; write the circuit, print the plan'))
    .option('--out <file>', 'the circuit to write, FILE.pvc')
    .option('--name <name>', 'name to serve the model under (default: the name of the file)')
    .option('--labels <file>', 'names of the classes, a JSON array or one a line')
    .option('--calibrate <file>', 'safetensors with input [n,3,H,W] to measure ranges and errors on')
    .addOption(
      choice(
        '--refresh <who>',
        'who restores the levels of a deep network; never: nobody, in one shot; client: the client, in refresh rounds; ' +
          'server: the server, between one query and one answer; auto: the client, where one shot does not fit or ' +
          'costs more for the objective',
        REFRESH_CHOICES,
        'auto',
      ),
    )
    .option(
      '--offline-client',
      'the client is offline between query and answer; --refresh auto then plans one shot, or where that does not fit, ' +
        'levels that the server restores',
    )
    .option(
      '--batch <n>',
      'images that share the ciphertexts, a power of two; auto: as many as take empty slots alone',
      batch,
      1,
    )
    .addOption(
      choice(
        '--ring <n>',
        'polynomial modulus degree; auto considers 65536 only where the server restores levels',
        ['auto', '8192', '16384', '32768', '65536'],
        'auto',
      ),
    )
    .option('--precision <bits>', 'bits by which errors lie below the logits', whole(4, 30), 10)
    .addOption(choice('--objective <what>', 'what to make small', OBJECTIVES, 'latency'))
    .addOption(choice('--target <engine>', 'engine to plan for', ENGINE_NAMES))
    .option(
      '--network <link>',
      'RTT_MS,MBIT of the link that refresh rounds wait for (default: one machine)',
      link,
    )
    .addOption(
      choice(
        '--speeds <which>',
        'kernel speeds that plans are weighed by',
        ['measured', 'reference'],
        'measured',
      ),
    )
    .option('--force', 'replace an earlier file at --out')
    .option('--dry-run', 'plan only, write nothing')
    .action(withHeapForCheckpoint(act(compileCheckpoint)))

const choice = (flags: string, text: string, values: readonly string[], preset?: string): Option =>
  new Option(flags, text).choices(values).default(preset)

async function compileCheckpoint(
  context: CommandContext,
  path: string,
  flags: CompileFlags,
): Promise<Outcome> {
  checkFlags(flags)
  requireNoContradiction(flags)
  const model = checkedName(path, flags)
  if (flags.out !== undefined && !flags.dryRun) await checkWritable(flags.out, flags.force ?? false)
  const { weights, network } = await loadSource(path, flags, context.progress)
  const compiled = await plannedCircuit(context, network, model, flags)
  const { circuit, plan } = compiled
  const { digest, bytes } = await writeCircuitFile(flags.dryRun ? undefined : flags.out, circuit)
  const { preprocessing } = network.config
  const warnings = preprocessing === null ? [NO_PREPROCESSING, ...compiled.warnings] : compiled.warnings
  return {
    document: {
      ...documentOf(circuit, plan, digest),
      ...(compiled.otherWay && { otherWay: compiled.otherWay }),
      weights: entryDocument(weights),
      preprocessing,
      warnings,
    },
    text: [
      planText(plan, preprocessing),
      ...(compiled.otherWay ? [otherWayText(compiled.otherWay)] : []),
      ...(circuit.refresh && circuit.batch === 1 ? [offlineText(compiled, flags.refresh)] : []),
      entryText(weights),
      ...warnings.map((warning) => `WARNING: ${warning}`),
      flags.dryRun ? 'Nothing was written.' : `${flags.out}: ${bytes} bytes`,
    ].join('\n'),
  }
}

/** How a network whose plan has refreshes runs while its client is offline. */
function offlineText({ otherWay }: Compiled, refresh: RefreshChoice): string {
  const offline = 'the client may be offline between one query and one answer'
  const restored =
    'the server restores levels in ring 32768 or 65536, with larger keys and a longer computation'
  if (refresh === 'client') return `with --refresh server ${offline}: ${restored}`
  return `with --offline-client ${offline}: ${otherWay ? 'the plan is then one shot' : restored}`
}

function checkFlags({ out, dryRun }: CompileFlags): void {
  if (out === undefined && !dryRun) throw new UsageError('Either --out FILE.pvc or --dry-run is needed')
}

/** The name to serve the model under. @throws CONFIG_INVALID when no server would take it */
function checkedName(path: string, { name, out }: CompileFlags): string {
  const model = name ?? modelName(out ?? path)
  if (isModelName(model)) return model
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `A model cannot be served as "${model}"; --name takes ${MODEL_NAME_RULE}`,
    { name: model },
  )
}

async function plannedCircuit(
  { progress }: CommandContext,
  network: Network,
  model: string,
  flags: CompileFlags,
): Promise<Compiled> {
  const { config } = network
  const labels = flags.labels === undefined ? config.labels : await readLabels(flags.labels, config.classes)
  const calibration = flags.calibrate === undefined ? [] : await readImages(flags.calibrate, network)
  progress.step('planning')
  const speeds =
    flags.speeds === 'measured' ? await (await import('../input/speeds.ts')).kernelSpeeds() : undefined
  const { compile } = await import('../../compiler/index.ts')
  return compile(network, {
    model,
    labels,
    preprocessing: config.preprocessing,
    batch: flags.batch,
    rings: flags.ring === 'auto' ? undefined : [Number(flags.ring)],
    precisionBits: flags.precision,
    objective: flags.objective,
    refresh: flags.refresh,
    offlineClient: flags.offlineClient,
    link: flags.network,
    target: flags.target,
    speeds,
    calibration,
  })
}

/** A file's name without its ending. */
const modelName = (file: string): string => basename(file, extname(file))

function documentOf({ parameters }: Circuit, plan: Compiled['plan'], digest: string): object {
  const { ops, rotations, galoisKeys, depthBits, ring, primeBits, specialPrimes, digits, logQP } = plan
  const { batch, seconds, secondsPerImage, bytes, memoryBytes, processBytes, precisionBits, isMeasured } =
    plan
  return {
    circuit: { digest, ops, rotations, galoisKeys, depthBits },
    parameters: { ring, primeBits, specialPrimes, digits, logQP, security: parameters.security },
    segments: plan.rounds.length + 1,
    ...(plan.restoration && { restoration: plan.restoration }),
    batch,
    estimate: { seconds, secondsPerImage, bytes, memoryBytes, processBytes, precisionBits, isMeasured },
  }
}
