/** Photometric interpretations of TIFF 6.0. */
export const MIN_IS_WHITE = 0
export const MIN_IS_BLACK = 1
export const CMYK = 5

/** Sample formats of TIFF 6.0. */
export const UNSIGNED = 1
export const SIGNED = 2
export const FLOAT = 3

export interface TiffSpec {
  readonly width: number
  readonly height: number
  readonly bits: number
  readonly sampleFormat?: number
  readonly photometric?: number
  readonly samplesPerPixel?: number
  /** Rows from top to bottom, little-endian. */
  readonly data: Uint8Array
}

/** A baseline TIFF file with one uncompressed strip: header, one directory and the samples. */
export function tiff({
  width,
  height,
  bits,
  sampleFormat = UNSIGNED,
  photometric = MIN_IS_BLACK,
  samplesPerPixel = 1,
  data,
}: TiffSpec): Buffer {
  const tags: readonly (readonly [tag: number, values: readonly number[]])[] = [
    [256, [width]],
    [257, [height]],
    [258, Array(samplesPerPixel).fill(bits)],
    [259, [1]],
    [262, [photometric]],
    [273, [0]], // the start of the strip, set below
    [277, [samplesPerPixel]],
    [278, [height]],
    [279, [data.length]],
    [339, Array(samplesPerPixel).fill(sampleFormat)],
  ]
  const directory = Buffer.alloc(2 + 12 * tags.length + 4)
  const lists: Buffer[] = []
  let end = 8 + directory.length
  directory.writeUInt16LE(tags.length, 0)
  for (const [k, [tag, values]] of tags.entries()) {
    const at = 2 + 12 * k
    directory.writeUInt16LE(tag, at)
    directory.writeUInt16LE(4, at + 2)
    directory.writeUInt32LE(values.length, at + 4)
    if (values.length === 1) directory.writeUInt32LE(values[0], at + 8)
    else {
      directory.writeUInt32LE(end, at + 8)
      lists.push(Buffer.from(Uint32Array.from(values).buffer))
      end += 4 * values.length
    }
  }
  directory.writeUInt32LE(end, 2 + 12 * tags.findIndex(([tag]) => tag === 273) + 8)
  return Buffer.concat([Buffer.from('II*\0\x08\0\0\0', 'latin1'), directory, ...lists, data])
}
