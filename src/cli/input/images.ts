import { PolyVeilError } from '../../errors/index.ts'
import { readInput } from './files.ts'

/** Largest image file; photographs are much smaller. */
const MAX_IMAGE_BYTES = 256 * 2 ** 20

/** Help on image arguments. */
export const IMAGE_ARGUMENT = 'PNG, JPEG, WebP, AVIF, GIF or TIFF'

/** Help on `--invert`. */
export const INVERT_HELP =
  'make black white and white black first, for networks that expect light on dark where the image is dark on light'

/** The bytes of an image file, not decoded. @throws IMAGE_UNREADABLE, TOO_LARGE */
export const readImageFile = (path: string): Promise<Uint8Array> =>
  readInput(path, 'The image', { limit: MAX_IMAGE_BYTES, code: 'IMAGE_UNREADABLE' })

/** A file with its result or its error. */
export type FileResult<T> =
  | { readonly file: string; readonly value: T; readonly error?: undefined }
  | { readonly file: string; readonly error: PolyVeilError; readonly value?: undefined }

/** Reads image files one after another. @returns for each its bytes or its error */
export async function readImageFiles(files: readonly string[]): Promise<FileResult<Uint8Array>[]> {
  const results: FileResult<Uint8Array>[] = []
  for (const file of files) {
    const result = await readImageFile(file).then(
      (value) => ({ file, value }),
      (error) => {
        if (error instanceof PolyVeilError) return { file, error }
        throw error
      },
    )
    results.push(result)
  }
  return results
}

/** Adds the file's name to an error. @throws errors that are not a `PolyVeilError` */
export function ofFile(file: string, error: unknown): PolyVeilError {
  if (!(error instanceof PolyVeilError)) throw error
  return error.restated(`${file}: ${error.message}`, { file })
}
