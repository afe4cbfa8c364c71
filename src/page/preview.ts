import type { Manifest } from '../circuit/manifest/manifest.ts'
import { brightness } from '../client/local/picture-kind.ts'
import type { PreprocessedImage, Preprocessing } from '../preprocessing/index.ts'
import { contextOf } from './elements.ts'
import type { Picture } from './picture.ts'
import type { TensorMaker } from './tensor-maker.ts'

/** What the network gets of a picture, and whether black and white were swapped. */
export interface Prepared {
  readonly tensor: PreprocessedImage
  readonly invert: boolean
}

/**
 * Prepares a picture for a model. A photograph on a light ground is inverted for networks that were trained
 * on light pictures on a dark ground.
 *
 * @param maker makes the input of the network
 * @param invert what the user wants; undefined to decide by the picture
 * @throws errors of the maker
 */
export async function prepared(
  maker: TensorMaker,
  { image, invert: own }: Picture,
  { input }: Manifest,
  invert = own,
): Promise<Prepared> {
  const given = await maker.make(image, input, invert ?? false)
  if (invert !== undefined || input.preprocessing === null) return { tensor: given, invert: invert ?? false }
  if (!isLightOnDark(input.preprocessing) || brightness(given, input.preprocessing) < 0.5) {
    return { tensor: given, invert: false }
  }
  return { tensor: await maker.make(image, input, true), invert: true }
}

/** Whether a network was trained on light pictures on a dark ground, by the mean of its pictures. */
const isLightOnDark = ({ mean }: Preprocessing): boolean =>
  mean.reduce((sum, each) => sum + each, 0) / mean.length < 0.35

/** Empties a canvas. */
export function clear(canvas: HTMLCanvasElement, label: string): void {
  contextOf(canvas, canvas.width, canvas.height)
  canvas.className = 'empty'
  canvas.setAttribute('aria-label', label)
}

/** Draws what the network gets on a canvas, in the range of brightness that screens have. */
export function show(canvas: HTMLCanvasElement, prepared: Prepared, manifest: Manifest, label: string): void {
  const { preprocessing, image } = manifest.input
  const [channels, height, width] = image
  const { tensor } = prepared.tensor
  const context = contextOf(canvas, width, height)
  const pixels = context.createImageData(width, height)
  const area = width * height
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) {
      const channel = Math.min(c, channels - 1)
      const value = tensor[channel * area + i]
      const unit = preprocessing ? value * preprocessing.std[channel] + preprocessing.mean[channel] : value
      pixels.data[4 * i + c] = Math.round(255 * unit)
    }
    pixels.data[4 * i + 3] = 255
  }
  context.putImageData(pixels, 0, 0)
  canvas.className = ''
  canvas.setAttribute('aria-label', label)
}
