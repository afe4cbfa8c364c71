import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { loadNetwork, parseConfig, readCheckpoint } from '../../../src/models/index.ts'
import type { BenchmarkOptions } from '../../harness.ts'
import { compiled, type Prepared } from './networks.ts'

const CHECKPOINT = '.safetensors'
const GOLDEN = '.golden.safetensors'
const DEFAULT_PRECISION_BITS = 8
/**
 * Images for a plan. In random networks the logits of one image may deviate three times as much as those of
 * another.
 */
const CALIBRATION_IMAGES = 2

/** The networks in a folder that `make-network.ts` filled, by name. */
export async function madeNetworks(folder: string): Promise<string[]> {
  const files = await readdir(folder)
  return files
    .filter((file) => file.endsWith(CHECKPOINT) && !file.endsWith(GOLDEN))
    .map((file) => basename(file, CHECKPOINT))
}

/**
 * Plans such a network with the first of its images. They are classified last.
 *
 * @param count most images
 */
export async function prepareMade(
  folder: string,
  name: string,
  count: number,
  { circuits, precision }: Pick<BenchmarkOptions, 'circuits' | 'precision'>,
): Promise<Prepared> {
  const file = (ending: string): string => join(folder, `${name}${ending}`)
  const config = parseConfig(await readFile(file('.json'), 'utf8'))
  const network = loadNetwork(await readCheckpoint(file(CHECKPOINT)), config)
  const images = await goldenImages(file(GOLDEN))
  const calibration = images.slice(0, CALIBRATION_IMAGES)
  const precisionBits = precision === undefined ? DEFAULT_PRECISION_BITS : Number(precision)
  const others = images.slice(CALIBRATION_IMAGES)
  const task = { name, network, images: [...others, ...calibration].slice(0, count), calibration }
  return compiled({ ...task, options: { precisionBits, rings: [8192] } }, circuits)
}

async function goldenImages(file: string): Promise<Float64Array[]> {
  const { shape, data } = (await readCheckpoint(file)).get('input')!
  const size = data.length / shape[0]
  return Array.from({ length: shape[0] }, (_, i) =>
    Float64Array.from(data.subarray(i * size, (i + 1) * size)),
  )
}
