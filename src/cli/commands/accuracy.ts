import type { Command } from 'commander'
import { counted } from '../../text/counted.ts'
import { accuracyCsv } from '../accuracy/csv.ts'
import type { Confusion } from '../accuracy/figures.ts'
import type { AccuracyFlags, Measured } from '../accuracy/measure.ts'
import { accuracyText } from '../accuracy/text.ts'
import type { Share } from '../accuracy/wilson.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { withConnection } from '../input/connection.ts'
import { INVERT_HELP } from '../input/images.ts'
import { withNetwork } from '../input/network-source.ts'
import { countOrAll, fraction, whole } from '../input/option-values.ts'
import { checkWritable, writeWhole } from '../output/write-file.ts'
import { UsageError } from '../usage-error.ts'

/** Encrypted images, where no option says how many: enough to know their accuracy within some 10 %. */
const ENCRYPTED_BY_DEFAULT = 100

/** `polyveil accuracy` */
export const accuracyCommand = (): Command =>
  withNetwork(
    withConnection(
      command('accuracy', 'measure accuracy on labelled images, in the clear and under encryption')
        .argument('<folder>', 'images: one subfolder for each class, or as --labels says')
        .option('--circuit <file>', 'the circuit, FILE.pvc, which is executed here unless --url is given')
        .option('--url <url>', 'the server that classifies the encrypted images')
        .option('--model <name>', 'the model of the server')
        .option(
          '--labels <file>',
          'CSV with the columns file and label, files relative to the folder; a first line with these names is optional',
        )
        .option(
          '--encrypted <n>',
          'images to encrypt at most, evenly spread over all: a number, or all',
          countOrAll,
          ENCRYPTED_BY_DEFAULT,
        )
        .option('--top <n>', 'also count images whose class is among the best N', whole(1, 100_000), 5)
        .option('--minimum <fraction>', 'exit code 1 when the top-1 under encryption is lower', fraction)
        .option('--skip-unreadable', 'leave out images that cannot be read, and count them')
        .option('--invert', INVERT_HELP)
        .option('--csv <file>', 'also write the answers, one line for each image')
        .option(
          '--checkpoint <file>',
          'weights (.pt, .pth or .safetensors) to compute the answers in the clear from, instead of the circuit',
        ),
    ),
  ).action(act(measureAccuracy))

async function measureAccuracy(
  context: CommandContext,
  folder: string,
  flags: AccuracyFlags,
): Promise<Outcome> {
  checkFlags(flags)
  if (flags.csv !== undefined) await checkWritable(flags.csv, true)
  const { measure } = await import('../accuracy/measure.ts')
  const measured = await measure(context, folder, flags)
  if (flags.csv !== undefined) {
    const { labelled, found, skipped, nameOf } = measured
    await writeWhole(flags.csv, Buffer.from(accuracyCsv(labelled.images, found, skipped, nameOf)))
  }
  const minimum = minimumOf(measured, flags)
  return {
    document: documentOf(measured, minimum, flags),
    text: textOf(measured, minimum, flags),
    exitCode: minimum?.holds === false ? 1 : 0,
  }
}

const NETWORK_FLAGS = ['arch', 'config', 'input', 'classes', 'weights', 'prefix'] as const

/** @throws UsageError when flags do not go together */
function checkFlags(flags: AccuracyFlags): void {
  const { circuit, url, model, checkpoint, encrypted, minimum } = flags
  if ((url === undefined) !== (model === undefined)) throw new UsageError('--url and --model go together')
  if (circuit === undefined && url === undefined) {
    throw new UsageError('Either --circuit FILE.pvc, or --url URL and --model NAME, is needed')
  }
  const lonely = NETWORK_FLAGS.find((name) => flags[name] !== undefined)
  if (checkpoint === undefined && lonely) throw new UsageError(`--${lonely} goes with --checkpoint`)
  if (url === undefined && flags.keys !== undefined) throw new UsageError('--keys goes with --url')
  if (encrypted > 0) return
  if (minimum !== undefined) throw new UsageError('--minimum needs encrypted images, and --encrypted is 0')
  if (circuit === undefined && checkpoint === undefined) {
    throw new UsageError('With --encrypted 0 a --circuit or a --checkpoint is needed')
  }
}

interface Minimum {
  readonly accuracy: number
  readonly holds: boolean
}

/** An accuracy of no image does not hold. */
const minimumOf = ({ found }: Measured, { minimum }: AccuracyFlags): Minimum | undefined =>
  minimum === undefined
    ? undefined
    : { accuracy: minimum, holds: (found.encrypted?.top1.value ?? 0) >= minimum }

function documentOf(measured: Measured, minimum: Minimum | undefined, { top }: AccuracyFlags): object {
  const { found, manifest, change, labelled, skipped, clearBy, nameOf } = measured
  const side = <T extends { readonly top1: Share; readonly confusions: readonly Confusion[] }>(
    accuracy: T,
  ) => ({
    ...accuracy,
    confusions: accuracy.confusions.map(({ truth, answer, images }) => ({
      truth: nameOf(truth),
      answer: answer === null ? null : nameOf(answer),
      images,
    })),
  })
  return {
    model: manifest.model,
    manifest: manifest.digest,
    previousManifest: change?.before,
    images: labelled.images.length,
    filesWithoutClass: labelled.withoutClass,
    unreadable: [...skipped].map(([{ file }, { code, message }]) => ({ file, code, message })),
    topK: top,
    clear: found.clear ? { by: clearBy, ...side(found.clear) } : null,
    encrypted: found.encrypted ? side(found.encrypted) : null,
    agreement: found.agreement ?? null,
    classes: found.classes.map((counts, index) => ({ index, label: nameOf(index), ...counts })),
    minimum: minimum ?? null,
  }
}

function textOf(measured: Measured, minimum: Minimum | undefined, { top }: AccuracyFlags): string {
  const { found, labelled, skipped, clearBy, nameOf } = measured
  const total = labelled.images.length
  const encrypted = found.encrypted?.images ?? 0
  return [
    `${counted(total, 'image')} of ${found.classes.length} classes`,
    ...(skipped.size > 0 ? [`${counted(skipped.size, 'image')} left out, which cannot be read`] : []),
    ...(encrypted < total
      ? [`encrypted: ${encrypted} of them, evenly spread; --encrypted chooses how many`]
      : []),
    '',
    accuracyText(found, { nameOf, topK: top, clearBy }),
    ...(minimum
      ? [
          '',
          `The accuracy under encryption ${minimum.holds ? 'is at least' : 'is LOWER than'} ${minimum.accuracy}.`,
        ]
      : []),
  ].join('\n')
}
