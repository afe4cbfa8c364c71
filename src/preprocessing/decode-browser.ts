import { PolyVeilError } from '../errors/index.ts'
import { requirePixels } from './limits.ts'
import type { Image } from './planes.ts'

/**
 * Decodes an image with the browser's own decoder: upright, in sRGB, RGBA.
 *
 * @param file a Blob, such as a File the user chose
 * @throws IMAGE_UNREADABLE when the browser cannot decode it, or it has too many pixels
 */
export async function decodeImage(file: Blob): Promise<Image> {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: 'from-image',
    premultiplyAlpha: 'none',
  }).catch((cause) => {
    throw new PolyVeilError(
      'IMAGE_UNREADABLE',
      'The file is no image that this browser decodes, or it is damaged. Save it as PNG or JPEG first',
      {},
      { cause },
    )
  })
  try {
    return readBitmap(bitmap)
  } finally {
    bitmap.close()
  }
}

/**
 * The pixels of a bitmap in sRGB, RGBA.
 *
 * @throws IMAGE_UNREADABLE when it is closed, has too many pixels, or is larger than a canvas can be
 */
export function readBitmap(bitmap: ImageBitmap): Image {
  const { width, height } = bitmap
  requirePixels(width, height)
  const context =
    width > 0 ? new OffscreenCanvas(width, height).getContext('2d', { colorSpace: 'srgb' }) : null
  if (!context) {
    throw new PolyVeilError('IMAGE_UNREADABLE', `The browser has no canvas of ${width} x ${height}`)
  }
  context.drawImage(bitmap, 0, 0)
  const { data } = context.getImageData(0, 0, width, height)
  return { width, height, channels: 4, data: new Uint8Array(data.buffer) }
}
