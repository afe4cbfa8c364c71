import { type Command, Option } from 'commander'
import { engineNameFor } from '../../schedule/engine-name.ts'
import { bytesText, errorText, secondsText } from '../../text/units.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { rmsWithin } from '../comparison.ts'
import { loadCircuit } from '../input/circuit.ts'
import { readGolden } from '../input/golden.ts'
import { whole } from '../input/option-values.ts'
import type { BackendName } from '../verification/backend.ts'
import type { Verification } from '../verification/verify.ts'

interface VerifyOptions {
  readonly golden: string
  readonly count?: number
  readonly backend?: BackendName
}

/** `polyveil verify` */
export const verifyCommand = (): Command =>
  command('verify', 'encrypt golden images, execute, decrypt, compare with golden logits')
    .argument('<file>', 'the circuit, FILE.pvc')
    .requiredOption('--golden <file>', 'safetensors with input [n,3,H,W] and logits [n,classes]')
    .option('--count <n>', 'only the first N images', whole(1, 1_000_000))
    .addOption(
      new Option(
        '--backend <name>',
        'what executes the circuit; by default what it was compiled for',
      ).choices(['simd', 'seal', 'clear']),
    )
    .action(act(verifyCircuitFile))

/** How far the error may exceed the planned one where no images were there to plan by. */
const ESTIMATE_SLACK = 2

async function verifyCircuitFile(
  context: CommandContext,
  path: string,
  options: VerifyOptions,
): Promise<Outcome> {
  const { circuit } = await loadCircuit(path)
  const backend = options.backend ?? engineNameFor(circuit.parameters)
  const { input, output, estimate } = circuit
  const [, height, width] = input.image
  const golden = await readGolden(options.golden, { height, width, classes: output.classes }, options.count)
  const { verify } = await import('../verification/verify.ts')
  const found = await verify(circuit, golden, backend, context.progress)
  const deviation = (estimate.isMeasured ? 1 : ESTIMATE_SLACK) * estimate.logitError
  const answered = found.images - found.outOfRange.length
  const allowed = rmsWithin(deviation, Math.max(1, answered) * output.classes)
  const holds = answered === found.images && found.top1Agreement === 1 && found.rmsError <= allowed
  return {
    document: { ok: holds, ...found, allowedRmsError: allowed },
    text: verificationText(found, holds, allowed),
    exitCode: holds ? 0 : 1,
  }
}

function verificationText(found: Verification, holds: boolean, allowed: number): string {
  const { seconds, bytes, images, batch, rounds, engineMemoryBytes: memory } = found
  const what = `${found.backend}: ${images === 1 ? '1 image' : `${images} images`}${batch > 1 ? ` in batches of ${batch}` : ''}`
  return [
    ...(found.outOfRange.length < images
      ? [
          `${what}, same top-1 on ${(100 * found.top1Agreement).toFixed(1)} %`,
          `largest error ${errorText(found.maxAbsError)}, RMS ${errorText(found.rmsError)} (${errorText(allowed)} allowed): ` +
            `${found.precisionBits.toFixed(1)} bits below the golden logits`,
        ]
      : [`${what}, none of which stays within the range`]),
    ...outOfRangeText(found),
    `keys ${secondsText(seconds.keygen)}; an image: encrypt ${secondsText(seconds.encrypt / images)}, ` +
      `execute ${secondsText(seconds.execute / images)}, decrypt ${secondsText(seconds.decrypt / images)}`,
    ...(rounds > 0
      ? [
          `${rounds} refresh rounds: ${secondsText(seconds.refreshClient / images)} of the client, ` +
            `${bytesText(bytes.refreshDown)} down, ${bytesText(bytes.refreshUp)} up`,
        ]
      : []),
    `keys ${bytesText(bytes.keys)}, query ${bytesText(bytes.query)}, answer ${bytesText(bytes.response)}`,
    `engine memory: keys ${bytesText(memory.keys)}, constants ${bytesText(memory.constants)}, ` +
      `program ${bytesText(memory.program)}; peak of the process ${bytesText(found.peakRssBytes)}`,
    holds ? 'The verification holds.' : 'The verification FAILED.',
  ].join('\n')
}

/** Images that are named; the document has all of them. */
const NAMED = 20

function outOfRangeText({ outOfRange, images }: Verification): string[] {
  if (outOfRange.length === 0) return []
  const named = outOfRange.slice(0, NAMED).join(', ')
  const more = outOfRange.length > NAMED ? ' and more' : ''
  return [
    `${outOfRange.length} of ${images} images leave the range that the circuit supports, so that they have no label ` +
      `(counted from 0): ${named}${more}. ` +
      `Are they preprocessed as those of the training?${outOfRange.length < images ? ' The figures are of the other images.' : ''}`,
  ]
}
