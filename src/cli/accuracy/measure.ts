import { type Circuit, type Manifest, manifestOf } from '../../circuit/index.ts'
import type { ManifestChange, PolyVeil } from '../../client/index.ts'
import { PolyVeilError, printable } from '../../errors/index.ts'
import type { CommandContext } from '../command.ts'
import { loadCircuit } from '../input/circuit.ts'
import { classFinder } from '../input/class-names.ts'
import { type ConnectionFlags, openConnection } from '../input/connection.ts'
import { imagesByFolder, imagesByList, type LabelledImages } from '../input/labelled-images.ts'
import { loadSource, type SourceOptions } from '../input/network-source.ts'
import { circuitSide, referenceSide } from './clear-side.ts'
import { type EncryptedSide, localSide } from './encrypted-side.ts'
import { type Evaluated, evaluate, inOrder } from './evaluate.ts'
import { ImageReader } from './image-reader.ts'
import { serviceSide } from './service-side.ts'
import type { Side } from './side.ts'
import { spread } from './spread.ts'

/** Flags of `accuracy`, which its command has checked. */
export interface AccuracyFlags extends SourceOptions, ConnectionFlags {
  /** `circuit`, or `url` and `model`, or all three. */
  readonly circuit?: string
  readonly url?: string
  readonly model?: string
  readonly checkpoint?: string
  readonly labels?: string
  /** Infinite for all images. */
  readonly encrypted: number
  readonly top: number
  readonly minimum?: number
  readonly skipUnreadable?: boolean
  readonly invert?: boolean
  readonly csv?: string
}

/** Figures with what they were measured on. */
export interface Measured {
  readonly found: Evaluated
  readonly manifest: Manifest
  readonly change: ManifestChange | undefined
  readonly labelled: LabelledImages
  readonly skipped: ImageReader['skipped']
  /** What computes in the clear; undefined when nothing does. */
  readonly clearBy: 'checkpoint' | 'circuit' | undefined
  /** Name of the class with an index. */
  readonly nameOf: (index: number) => string
}

/**
 * Measures the accuracy of a circuit on this machine, or of a server's model.
 *
 * @throws CONFIG_INVALID, IMAGE_UNREADABLE, TOO_LARGE for bad inputs; PARAMETERS_MISMATCH when the server has
 *   another circuit; errors of the server; the signal's reason
 */
export async function measure(
  context: CommandContext,
  folder: string,
  flags: AccuracyFlags,
): Promise<Measured> {
  const circuit = flags.circuit === undefined ? undefined : (await loadCircuit(flags.circuit)).circuit
  let change: ManifestChange | undefined
  // Closing deletes throw-away keys on the server, also where the command fails before an answer.
  await using polyveil = await connection(context, flags, (noticed) => {
    change = noticed
  })
  // Without a server nothing has to be cleaned up, and signals end the process.
  const signal = polyveil && context.signal
  const manifest = polyveil ? await polyveil.manifest(flags.model!, { signal }) : manifestOf(circuit!)
  if (polyveil && circuit) requireSame(manifest, manifestOf(circuit))
  const labelled = await labelledImages(context, folder, manifest, flags)
  const clear = await clearSide(context, manifest, circuit, flags)
  const reader = new ImageReader(manifest.input, flags)
  const found = await evaluate(
    {
      // Without a clear side only what is encrypted is looked at.
      images: clear ? labelled.images : spread(labelled.images, flags.encrypted),
      reader,
      classes: manifest.output.classes,
      topK: flags.top,
      clear,
      count: flags.encrypted,
      openEncrypted: () => encryptedSide(context, { polyveil, manifest, circuit, flags }),
    },
    context.progress,
    signal,
  )
  const skipped = inOrder(labelled.images, reader.skipped)
  if (!(found.clear ?? found.encrypted)?.images) throw noneReadable(skipped.values().next().value)
  const clearBy = clear && (flags.checkpoint === undefined ? 'circuit' : 'checkpoint')
  const nameOf = (index: number): string => printable(manifest.labels[index] ?? String(index))
  return { found, manifest, change, labelled, skipped, clearBy, nameOf }
}

const connection = async (
  context: CommandContext,
  flags: AccuracyFlags,
  onChange: (change: ManifestChange) => void,
): Promise<PolyVeil | undefined> =>
  flags.url === undefined ? undefined : openConnection(context, flags.url, flags, onChange)

function requireSame(served: Manifest, own: Manifest): void {
  if (served.digest === own.digest) return
  throw new PolyVeilError(
    'PARAMETERS_MISMATCH',
    `The server's model ${served.model} is another circuit than the file`,
    { served: served.digest, file: own.digest },
    { remedy: 'Give the file that the server serves, or leave out --circuit.' },
  )
}

async function labelledImages(
  { progress }: CommandContext,
  folder: string,
  { labels, output }: Manifest,
  flags: AccuracyFlags,
): Promise<LabelledImages> {
  const classOf = classFinder(labels, output.classes)
  if (flags.labels !== undefined) return imagesByList(folder, flags.labels, classOf)
  const found = await imagesByFolder(folder, classOf)
  const { withoutClass } = found
  if (withoutClass > 0) {
    const files = withoutClass === 1 ? '1 file' : `${withoutClass} files`
    progress.note(`${files} of ${folder} beside the folders of classes left out`)
  }
  return found
}

async function clearSide(
  context: CommandContext,
  { input, output }: Manifest,
  circuit: Circuit | undefined,
  flags: AccuracyFlags,
): Promise<Side | undefined> {
  if (flags.checkpoint === undefined) return circuit && circuitSide(circuit)
  const { network } = await loadSource(flags.checkpoint, flags, context.progress)
  return referenceSide(network, { input, classes: output.classes })
}

interface EncryptedSource {
  readonly polyveil: PolyVeil | undefined
  readonly manifest: Manifest
  readonly circuit: Circuit | undefined
  readonly flags: AccuracyFlags
}

async function encryptedSide(
  context: CommandContext,
  { polyveil, manifest, circuit, flags }: EncryptedSource,
): Promise<EncryptedSide> {
  const { progress } = context
  if (polyveil === undefined) return localSide(circuit!, progress)
  return serviceSide(polyveil, manifest, { invert: flags.invert, signal: context.signal, progress })
}

const noneReadable = (first: PolyVeilError | undefined): PolyVeilError =>
  new PolyVeilError(
    'IMAGE_UNREADABLE',
    `None of the images can be read${first ? `; the first error: ${first.message}` : ''}`,
  )
