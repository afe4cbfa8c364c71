import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { PictureConfig } from '../config.ts'
import { parseConfig } from '../config-json.ts'

/**
 * A network that is bundled with the package, with images to try it on. `provenance.md` names its origin.
 */
export interface BundledNetwork {
  readonly name: 'digits' | 'clothing'
  /** The folder of all its files. */
  readonly directory: URL
  /** For `readCheckpoint`. */
  readonly checkpoint: URL
  readonly config: PictureConfig
  /** Top-1 of the clear network, as fractions of 1, on that many test images. */
  readonly accuracy: { readonly images: number; readonly top1: number }
  /** One real test image of each class; the truth is one of the config's labels. */
  readonly images: readonly { readonly file: URL; readonly truth: string }[]
}

const NAMES = ['digits', 'clothing'] as const

const accuracySchema = z.object({ accuracy: z.object({ images: z.number(), top1: z.number() }) })
const imagesSchema = z.array(z.object({ file: z.string(), truth: z.string() }))

/** Reads the descriptions of the bundled networks; the weights are left to `readCheckpoint`. */
export function bundledNetworks(): readonly BundledNetwork[] {
  return NAMES.map((name) => {
    const directory = new URL(`${name}/`, import.meta.url)
    const description = readJson(new URL('network.json', directory))
    const images = imagesSchema.parse(readJson(new URL('images.json', directory)))
    return {
      name,
      directory,
      checkpoint: new URL('network.pt', directory),
      // Each states its preprocessing.
      config: parseConfig(description) as PictureConfig,
      accuracy: accuracySchema.parse(description).accuracy,
      images: images.map(({ file, truth }) => ({ file: new URL(`images/${file}`, directory), truth })),
    }
  })
}

const readJson = (file: URL): unknown => JSON.parse(readFileSync(file, 'utf8'))
