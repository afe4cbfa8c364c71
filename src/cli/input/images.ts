import { readInput } from './files.ts'

/** Far above any photograph; a decoder is not given more. */
const MAX_IMAGE_BYTES = 256 * 2 ** 20

/** The bytes of an image file, not decoded. @throws IMAGE_UNREADABLE, TOO_LARGE */
export const readImageFile = (path: string): Promise<Uint8Array> =>
  readInput(path, 'The image', { limit: MAX_IMAGE_BYTES, code: 'IMAGE_UNREADABLE' })
