import type { Command } from 'commander'
import type { Network } from '../../models/index.ts'
import { errorText } from '../../text/units.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { compare } from '../comparison.ts'
import { type Golden, readGolden } from '../input/golden.ts'
import {
  entryDocument,
  entryText,
  loadSource,
  type Source,
  type SourceOptions,
  withSource,
} from '../input/network-source.ts'
import { preprocessingText } from '../output/preprocessing-text.ts'
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

async function check(context: CommandContext, path: string, options: CheckOptions): Promise<Outcome> {
  const source = await loadSource(path, options, context.progress)
  const { network, weights } = source
  const { preprocessing } = network.config
  const facts = {
    parameters: parameterCount(weights.tensors),
    weights: entryDocument(weights),
    preprocessing,
  }
  const lines = [entryText(weights), `preprocessing: ${preprocessingText(preprocessing)}`]
  if (options.golden === undefined) {
    return {
      document: { reference: null, folded: null, images: 0, ...facts },
      text: [`The checkpoint is complete: ${facts.parameters} parameters.`, ...lines].join('\n'),
    }
  }
  const shape = { height: network.height, width: network.width, classes: network.classes }
  const golden = await readGolden(options.golden, shape)
  const { document, text, holds } = judge(await errorsOf(context, network, golden), golden)
  const rounding = holds ? undefined : await explainedBy(source, golden, document)
  return {
    document: { ...document, ...facts, ...(rounding && { rounding: rounding.document }) },
    text: [
      `${facts.parameters} parameters, ${golden.inputs.length} golden images`,
      ...lines,
      ...text,
      ...(rounding?.text ?? []),
    ].join('\n'),
    exitCode: holds ? 0 : 1,
  }
}

/** Rounding explains errors up to this multiple of its measured effect. */
const ROUNDING_SLACK = 8

/**
 * Weights in half precision are not those that golden logits of float32 were computed with: how much of the
 * difference is that?
 */
async function explainedBy(
  { weights, network }: Source,
  { inputs }: Golden,
  { reference, folded }: Judgement['document'],
): Promise<{ document: object; text: string[] } | undefined> {
  const { halfPrecisionRounding } = await import('../verification/rounding.ts')
  const rounding = await halfPrecisionRounding(weights.tensors, network, inputs)
  if (rounding === undefined) return undefined
  const { datatype, maxAbsError } = rounding
  const explains = Math.max(reference.maxAbsError, folded.maxAbsError) <= ROUNDING_SLACK * maxAbsError
  const size = `rounding weights to it changes logits by about ${errorText(maxAbsError)}`
  return {
    document: { datatype, maxAbsError, explains },
    text: [
      explains
        ? `The weights are stored as ${datatype}: ${size}, which explains the difference. Compare them with logits that were ` +
          'computed from the rounded weights, or check the float32 checkpoint.'
        : `The weights are stored as ${datatype}, but ${size} only: something else differs, too.`,
    ],
  }
}

interface Errors {
  readonly reference: number
  readonly folded: number
}

/** Largest absolute differences of the float reference and of the folded graph to the golden logits. */
async function errorsOf({ progress }: CommandContext, network: Network, golden: Golden): Promise<Errors> {
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

interface Judgement {
  readonly holds: boolean
  readonly document: {
    readonly ok: boolean
    readonly reference: { readonly maxAbsError: number }
    readonly folded: { readonly maxAbsError: number }
    readonly tolerance: number
    readonly images: number
  }
  readonly text: readonly string[]
}

function judge({ reference, folded }: Errors, { inputs, logits }: Golden): Judgement {
  const largest = logits.reduce(
    (most, row) => row.reduce((larger, logit) => Math.max(larger, Math.abs(logit)), most),
    1,
  )
  const tolerance = TOLERANCE * largest
  const holds = Math.max(reference, folded) <= tolerance
  return {
    holds,
    document: {
      ok: holds,
      reference: { maxAbsError: reference },
      folded: { maxAbsError: folded },
      tolerance,
      images: inputs.length,
    },
    text: [
      `float reference: largest absolute difference ${errorText(reference)}`,
      `folded graph:    largest absolute difference ${errorText(folded)}`,
      holds
        ? `Both are within ${errorText(tolerance)}.`
        : `The check FAILED: ${errorText(tolerance)} is allowed.`,
    ],
  }
}
