import { PolyVeilError } from '../errors/index.ts'
import type { Image } from './planes.ts'

/** Enough for any camera; a decoder bomb stops here. */
export const MAX_PIXELS = 64 * 2 ** 20

/**
 * Decodes PNG, JPEG, WebP and what else sharp reads: upright, in sRGB, 8 bits a sample, with alpha where there is one.
 *
 * @param file the encoded image's bytes
 * @throws IMAGE_UNREADABLE when it is no image, has more than `MAX_PIXELS` pixels, or sharp is not installed
 */
export async function decodeImage(file: Uint8Array): Promise<Image> {
  const sharp = await loadSharp()
  try {
    const { data, info } = await sharp(file, { limitInputPixels: MAX_PIXELS, failOn: 'error' })
      .autoOrient()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    return { width: info.width, height: info.height, channels: info.channels === 4 ? 4 : 3, data }
  } catch (cause) {
    throw new PolyVeilError('IMAGE_UNREADABLE', 'The file is no image that can be decoded', {}, { cause })
  }
}

async function loadSharp(): Promise<typeof import('sharp').default> {
  try {
    return (await import('sharp')).default
  } catch (cause) {
    throw new PolyVeilError(
      'IMAGE_UNREADABLE',
      'No image can be decoded without the package sharp; install it with npm install sharp',
      {},
      { cause },
    )
  }
}
