import type { LabelledImage } from '../input/labelled-images.ts'
import type { ImageReader, ReadImage } from './image-reader.ts'

/** Logits of an image; undefined when it left the range. */
export type Logits = Float64Array | undefined

/** Where a group of images lies among all that a side is given. */
export interface Place {
  /** Place of its first image, from 0 on. */
  readonly first: number
  /** Number of all images, without those that are known to be left out. */
  readonly total: number
  /** Whether no group comes behind it. */
  readonly isLast: boolean
}

/** A way to compute the logits of images. */
export interface Side {
  /** Most images that are given at once. */
  readonly size: number
  run(images: readonly ReadImage[], place: Place): Promise<readonly Logits[]>
}

export interface RunOptions {
  readonly reader: Pick<ImageReader, 'read'>
  readonly signal: AbortSignal | undefined
  /** Called with each image, in order. */
  readonly onLogits: (image: LabelledImage, logits: Logits) => void
  /** Called with the number of images done. */
  readonly onProgress?: (done: number) => void
}

type Read = readonly [image: LabelledImage, read: ReadImage]

/**
 * Reads images, each once, and runs them through a side in groups. Images that cannot be read are left out
 * where the reader skips them.
 *
 * @param open called when the first image has been read; not at all when none can be
 * @returns seconds of the runs, without reading
 * @throws errors of the reader and of the side; the signal's reason
 */
export async function runAll(
  images: readonly LabelledImage[],
  open: () => Side | Promise<Side>,
  options: RunOptions,
): Promise<number> {
  const { reader, onLogits, onProgress } = options
  let side: Side | undefined
  let first = 0
  let seconds = 0
  let unreadable = 0
  let group: Read[] = []
  const runGroup = async (isLast: boolean): Promise<void> => {
    const place = { first, total: images.length - unreadable, isLast }
    const start = performance.now()
    const logits = await side!.run(
      group.map(([, read]) => read),
      place,
    )
    seconds += (performance.now() - start) / 1000
    for (const [k, [image]] of group.entries()) onLogits(image, logits[k])
    first += group.length
    group = []
    onProgress?.(first)
  }
  for (const image of images) {
    options.signal?.throwIfAborted()
    const read = await reader.read(image)
    if (read === undefined) {
      unreadable++
      continue
    }
    side ??= await open()
    // A group waits for the image behind it: only then it is known not to be the last.
    if (group.length === side.size) await runGroup(false)
    group.push([image, read])
  }
  if (group.length > 0) await runGroup(true)
  return seconds
}
