import { existsSync, readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import {
  type Checkpoint,
  loadNetwork,
  type Network,
  type PictureConfig,
  parseConfig,
  readCheckpoint,
  readSafetensors,
} from '../../src/models/index.ts'
import { isThorough } from './thorough.ts'

/**
 * Networks trained on real images, which are too large for the repository: NAME.pt, NAME.json and
 * NAME.golden.safetensors, and `images` with test images. They lie in a folder beside the repository, or in
 * the one that POLYVEIL_CHECKPOINTS names.
 */
export const TRAINED = process.env.POLYVEIL_CHECKPOINTS
  ? pathToFileURL(`${process.env.POLYVEIL_CHECKPOINTS}/`)
  : new URL('../../../shared/checkpoints/', import.meta.url)

export const trainedFile = (file: string): URL => new URL(file, TRAINED)

/** The first missing file of a network; undefined when all files exist. */
export function missingTrained(name: string): string | undefined {
  const files = ['pt', 'json', 'golden.safetensors'].map((ending) => `${name}.${ending}`)
  const missing = files.find((file) => !existsSync(trainedFile(file)))
  return missing && `${process.env.POLYVEIL_CHECKPOINTS ?? '../shared/checkpoints'}/${missing} is not there`
}

/** The reason for skipping a slow test of a trained network; false when the test runs. */
export function skipTrained(name: string): string | false {
  if (!isThorough) return 'slow; set POLYVEIL_SLOW=1'
  return missingTrained(name) ?? false
}

export function trainedConfig(name: string): PictureConfig {
  const config = parseConfig(readFileSync(trainedFile(`${name}.json`), 'utf8'))
  const { preprocessing } = config
  if (preprocessing === null) throw new Error(`${name}.json states no preprocessing`)
  return { ...config, preprocessing }
}

export const trainedNetwork = async (name: string): Promise<Network> =>
  loadNetwork(await readCheckpoint(trainedFile(`${name}.pt`)), trainedConfig(name))

/** `input` [n, 3, H, W], preprocessed; `logits` [n, classes] of the training code; `truth` [n]. */
export const trainedGolden = (name: string): Promise<Checkpoint> =>
  readSafetensors(trainedFile(`${name}.golden.safetensors`))
