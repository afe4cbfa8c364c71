import { readFileSync } from 'node:fs'
import {
  type Checkpoint,
  type CheckpointTensor,
  loadNetwork,
  type Network,
  parseConfig,
  readCheckpoint,
  readSafetensors,
} from '../../../src/models/index.ts'

const FOLDER = new URL('../../golden/', import.meta.url)

export const goldenFile = (name: string): URL => new URL(name, FOLDER)

export const goldenJson = (name: string): unknown =>
  JSON.parse(readFileSync(goldenFile(`${name}.json`), 'utf8'))

export async function goldenNetwork(name: string): Promise<Network> {
  return loadNetwork(await readCheckpoint(goldenFile(`${name}.pt`)), parseConfig(goldenJson(name)))
}

export const goldenTensors = (name: string): Promise<Checkpoint> =>
  readSafetensors(goldenFile(`${name}.golden.safetensors`))

/** The k-th tensor of a batch. */
export function item({ shape: [, ...shape], data }: CheckpointTensor, k: number): CheckpointTensor {
  const size = shape.reduce((product, n) => product * n, 1)
  return { shape, data: data.subarray(k * size, (k + 1) * size) }
}

/** The largest absolute difference; NaN where one of the values is NaN, so that it does not pass as small. */
export function maxAbsDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`)
  let largest = 0
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i] - b[i]))
  return largest
}

/** Standard deviation over the values. */
export function deviation(values: ArrayLike<number>): number {
  const list = Array.from(values)
  const mean = list.reduce((sum, x) => sum + x, 0) / list.length
  return Math.sqrt(list.reduce((sum, x) => sum + (x - mean) ** 2, 0) / list.length)
}
