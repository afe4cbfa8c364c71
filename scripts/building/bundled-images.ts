import { readFile } from 'node:fs/promises'
import type { BundledNetwork } from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../../src/preprocessing/index.ts'

/** The bundled images of a network as its input, [3, H, W] each. Its plan is measured on them. */
export const bundledImages = ({ config, images }: BundledNetwork): Promise<Float64Array[]> =>
  Promise.all(
    images.map(async ({ file }) =>
      Float64Array.from(
        networkInput(preprocess(await decodeImage(await readFile(file)), config.preprocessing)),
      ),
    ),
  )
