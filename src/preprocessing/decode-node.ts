import type { Metadata, Sharp } from 'sharp'
import { PolyVeilError } from '../errors/index.ts'
import { rgbOfCmyk } from './cmyk.ts'
import { requirePixels } from './limits.ts'
import type { Image } from './planes.ts'

/** Formats that are decoded, by sharp's names. Browsers decode the formats that they choose. */
const FORMATS: Readonly<Record<string, string>> = {
  jpeg: 'JPEG',
  png: 'PNG',
  webp: 'WebP',
  heif: 'AVIF',
  gif: 'GIF',
  tiff: 'TIFF',
}
/**
 * Sample types whose range is known, 8 and 16 bits from black to white, and the colour spaces in which that
 * range is the whole one; all by sharp's names.
 */
const DEPTHS: ReadonlyMap<string, readonly string[]> = new Map([
  ['uchar', ['b-w', 'srgb', 'rgb', 'cmyk']],
  ['ushort', ['grey16', 'rgb16']],
])

/**
 * Decodes a PNG, JPEG, WebP, AVIF, GIF or TIFF file: its first picture, upright, in sRGB, 8 bits a sample,
 * with alpha where there is one. docs/preprocessing.md says what becomes of 16 bits, colour profiles and
 * CMYK.
 *
 * @param file the encoded image's bytes
 * @throws IMAGE_UNREADABLE when it is no image, is damaged, has too many pixels (found before they are
 *   decoded), has samples of unknown range such as floating point, or sharp is not installed
 */
export async function decodeImage(file: Uint8Array): Promise<Image> {
  if (file.length === 0) throw unreadable('The file is empty')
  const sharp = await loadSharp()
  // The limits are ours, so that the message can state them. Only the header is read here.
  const open = (): Sharp => sharp(file, { limitInputPixels: false, failOn: 'error' })
  const metadata = await open().metadata().catch(refuseUnknown)
  requireDecodable(metadata)
  return decoded(open().autoOrient(), metadata).catch((cause) => {
    throw unreadable(
      `The ${FORMATS[metadata.format]} image is damaged: it ends too early, or its data is broken`,
      cause,
    )
  })
}

function requireDecodable({ format, width, height, depth, space }: Metadata): void {
  if (format === 'svg') {
    throw unreadable('An SVG is a drawing that has no pixels of its own; export it as PNG first')
  }
  const name = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined
  if (name === undefined)
    throw unreadable(`The file is of the format ${format}, which is not decoded. ${ADVICE}`)
  requirePixels(width, height)
  if (!DEPTHS.has(depth)) {
    throw unreadable(
      `The ${name} image has samples of the type ${depth}, whose black and white are not known. ` +
        'Scale them to 0 to 255 (8 bits) or 0 to 65535 (16 bits) and save the image again, as PNG for example',
    )
  }
  if (DEPTHS.get(depth)?.includes(space) !== true) {
    throw unreadable(
      `The ${name} image has the colour space ${space} with samples of the type ${depth}; save it again as RGB or grey`,
    )
  }
}

async function decoded(image: Sharp, { space, depth, hasProfile }: Metadata): Promise<Image> {
  // Without a profile the colours of CMYK's inks are not defined. PIL and browsers take the plain formula.
  const plainCmyk = space === 'cmyk' && !hasProfile
  if (plainCmyk) image.pipelineColourspace('cmyk')
  // sharp brings 16-bit colours with a profile to P3, not sRGB, unless they are brought to 8 bits first.
  else if (depth === 'ushort' && hasProfile) image.pipelineColourspace('srgb')
  const { data, info } = await image
    .toColourspace(plainCmyk ? 'cmyk' : 'srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
  if (plainCmyk && channels === 4) return { width, height, channels: 3, data: rgbOfCmyk(data) }
  if (!plainCmyk && (channels === 3 || channels === 4)) return { width, height, channels, data }
  throw new Error(`${channels} channels`)
}

const ADVICE =
  'PNG, JPEG, WebP, AVIF, GIF and TIFF of 8 or 16 bits are; save others, such as HEIC or BMP, as PNG or JPEG first'

const refuseUnknown = (cause: Error): never => {
  throw unreadable(`The file is no image that can be decoded. ${ADVICE}`, cause)
}

const unreadable = (message: string, cause?: unknown): PolyVeilError =>
  new PolyVeilError('IMAGE_UNREADABLE', message, {}, { cause })

async function loadSharp(): Promise<typeof import('sharp').default> {
  try {
    return (await import('sharp')).default
  } catch (cause) {
    throw unreadable(
      'No image can be decoded without the package sharp; install it with npm install sharp',
      cause,
    )
  }
}
