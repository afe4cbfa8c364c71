import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { NetworkConfig } from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { type PreprocessedImage, type Preprocessing, preprocess } from '../../src/preprocessing/index.ts'
import { trainedFile } from '../../test/support/trained-networks.ts'

const listSchema = z.array(z.object({ file: z.string(), truth: z.string() })).min(1)

/** The file names of the clothing test images beside the trained networks, grouped by class. */
export async function clothingFiles(): Promise<string[]> {
  const list = await readFile(trainedFile('images/clothing.json'), 'utf8')
  return listSchema.parse(JSON.parse(list)).map(({ file }) => file)
}

/** A test image as input of a network with that preprocessing. */
export async function testImage(
  file: string,
  preprocessing: Preprocessing | null,
): Promise<PreprocessedImage> {
  if (preprocessing === null) throw new Error('A network without preprocessing takes no pictures')
  return preprocess(await decodeImage(await readFile(trainedFile(`images/${file}`))), preprocessing)
}

/** The preprocessing with another output size. */
export const resizedTo = (
  preprocessing: Preprocessing,
  { inputSize: { height, width } }: Pick<NetworkConfig, 'inputSize'>,
): Preprocessing => ({ ...preprocessing, resize: { mode: 'squash', height, width } })

/** `count` entries of a list, as far apart as possible, from `first` on. */
export const spread = <T>(list: readonly T[], count: number, first = 0): T[] =>
  Array.from({ length: count }, (_, k) => list[first + Math.floor((k * list.length) / count)])
