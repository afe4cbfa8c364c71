import type { LabelledImage } from '../input/labelled-images.ts'
import type { ImageReader, ReadImage } from './image-reader.ts'

/** Logits of an image; undefined when it left the range. */
export type Logits = Float64Array | undefined

/** A way to compute the logits of images. */
export interface Side {
  /** Most images that are given at once. */
  readonly size: number
  /** @param first place of the first image among all, from 0 on */
  run(images: readonly ReadImage[], first: number): Promise<readonly Logits[]>
}

export interface RunOptions {
  readonly reader: ImageReader
  readonly signal: AbortSignal | undefined
  /** Called with each image, in order. */
  readonly onLogits: (image: LabelledImage, logits: Logits) => void
  /** Called with the number of images done. */
  readonly onProgress?: (done: number) => void
}

/**
 * Reads images and runs them through a side in groups. Images that cannot be read are left out where the
 * reader skips them.
 *
 * @returns seconds of the runs, without reading
 * @throws errors of the reader and of the side; the signal's reason
 */
export async function runAll(
  images: readonly LabelledImage[],
  side: Side,
  options: RunOptions,
): Promise<number> {
  const { reader, signal, onLogits, onProgress } = options
  let done = 0
  let seconds = 0
  let group: [LabelledImage, ReadImage][] = []
  const runGroup = async (): Promise<void> => {
    const start = performance.now()
    const logits = await side.run(
      group.map(([, read]) => read),
      done,
    )
    seconds += (performance.now() - start) / 1000
    for (const [k, [image]] of group.entries()) onLogits(image, logits[k])
    done += group.length
    group = []
    onProgress?.(done)
  }
  for (const image of images) {
    signal?.throwIfAborted()
    const read = await reader.read(image)
    if (read) group.push([image, read])
    if (group.length === side.size) await runGroup()
  }
  if (group.length > 0) await runGroup()
  return seconds
}
