import type { Command } from 'commander'
import type { Network } from '../../models/index.ts'
import { act, command, type Outcome, type Session } from '../command.ts'
import { compare } from '../comparison.ts'
import { type Golden, readGolden } from '../input/golden.ts'
import { loadSource, type SourceOptions, withSource } from '../input/network-source.ts'
import { errorText } from '../output/units.ts'
import { parameterCount } from '../parameter-count.ts'

interface CheckOptions extends SourceOptions {
  readonly golden?: string
}

/** `polyveil check` */
export const checkCommand = (): Command =>
  withSource(command('check', 'load and validate a checkpoint, and compare it with golden logits'))
    .option('--golden <file>', 'safetensors with input [n,3,H,W] and logits [n,classes]')
    .action(act(check))

/** Golden logits are float32; relative to the largest of them this is far above their rounding. */
const TOLERANCE = 1e-4

async function check(session: Session, path: string, options: CheckOptions): Promise<Outcome> {
  const { network, weights } = await loadSource(path, options, session.progress)
  const parameters = parameterCount(weights.tensors)
  if (options.golden === undefined) {
    const document = { reference: null, folded: null, images: 0, parameters }
    return { document, text: `The checkpoint is complete: ${parameters} parameters.` }
  }
  const shape = { height: network.height, width: network.width, classes: network.head.classes }
  const golden = await readGolden(options.golden, shape)
  return judge(await errorsOf(session, network, golden), golden, parameters)
}

interface Errors {
  readonly reference: number
  readonly folded: number
}

/** Largest absolute differences of the float reference and of the folded graph to the golden logits. */
async function errorsOf({ progress }: Session, network: Network, golden: Golden): Promise<Errors> {
  const { referenceForward } = await import('../../models/index.ts')
  const { foldedNetwork } = await import('../../compiler/index.ts')
  const folded = foldedNetwork(network, network.config.preprocessing)
  const errorOf = (label: string, forward: (image: Float64Array) => Float64Array): number => {
    progress.step(label)
    const logits = golden.inputs.map((image, k) => {
      progress.update(k, golden.inputs.length)
      return forward(image)
    })
    return compare(logits, golden.logits).maxAbsError
  }
  return {
    reference: errorOf('float reference', (image) => referenceForward(network, image)),
    folded: errorOf('folded graph', folded),
  }
}

function judge({ reference, folded }: Errors, { inputs, logits }: Golden, parameters: number): Outcome {
  const largest = Math.max(1, ...logits.map((row) => Math.max(...row.map(Math.abs))))
  const tolerance = TOLERANCE * largest
  const holds = Math.max(reference, folded) <= tolerance
  return {
    document: {
      ok: holds,
      reference: { maxAbsError: reference },
      folded: { maxAbsError: folded },
      tolerance,
      images: inputs.length,
      parameters,
    },
    text: [
      `${parameters} parameters, ${inputs.length} golden images`,
      `float reference: largest absolute difference ${errorText(reference)}`,
      `folded graph:    largest absolute difference ${errorText(folded)}`,
      holds
        ? `Both are within ${errorText(tolerance)}.`
        : `The check FAILED: ${errorText(tolerance)} is allowed.`,
    ].join('\n'),
    exitCode: holds ? 0 : 1,
  }
}
