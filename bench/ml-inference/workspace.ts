import { join } from 'node:path'

/** Instances of the workload: their names in its folders, and numbers of images. */
export const INSTANCES = [
  { name: 'single', images: 1 },
  { name: 'small', images: 15 },
  { name: 'medium', images: 1000 },
  { name: 'large', images: 10_000 },
] as const

/** Images that share a ciphertext, where there are several. */
export const BATCH = 8

/** The places of an instance in the harness's folder, in which all stages run. */
export interface Workspace {
  readonly images: number
  /** Images that share a ciphertext. */
  readonly batch: number
  /** The circuit, which the build has made. */
  readonly circuit: string
  /** One image in a line, 784 numbers from 0 to 1. */
  readonly pixels: string
  /** The images as bytes. */
  readonly preprocessed: string
  /** Directory of the client's secret key, which no program of the server reads. */
  readonly secretKey: string
  readonly publicKeys: string
  readonly upload: string
  readonly download: string
  /** Logits of all images, in their order. */
  readonly logits: string
  /** One label in a line. */
  readonly predictions: string
}

/** Directory of the stage programs, and of what the build makes. */
export const BUILD = join('submission', 'build')

export const circuitOf = (root: string, batch: number): string => join(root, BUILD, `digits-${batch}.pvc`)

/** The pixels of an instance, which the harness writes. */
export const pixelsOf = (root: string, name: string): string =>
  join(root, 'datasets', name, 'intermediate', 'test_pixels.txt')

/**
 * The workspace of an instance.
 *
 * @param root folder of the harness
 * @param size as the harness passes it: 0 to 3
 */
export function workspace(root: string, size: number): Workspace {
  const instance = INSTANCES[size]
  if (instance === undefined) throw new RangeError(`There is no instance ${size}; they are 0 to 3`)
  const { name, images } = instance
  const batch = images === 1 ? 1 : BATCH
  const io = join(root, 'io', name)
  return {
    images,
    batch,
    circuit: circuitOf(root, batch),
    pixels: pixelsOf(root, name),
    preprocessed: join(io, 'intermediate', 'images.bin'),
    secretKey: join(io, 'secret_key'),
    publicKeys: join(io, 'public_keys'),
    upload: join(io, 'ciphertexts_upload'),
    download: join(io, 'ciphertexts_download'),
    logits: join(io, 'intermediate', 'logits.json'),
    predictions: join(io, 'encrypted_model_predictions.txt'),
  }
}

/** The file of a ciphertext in `upload` or `download`. */
export const ciphertextFile = (directory: string, index: number): string =>
  join(directory, `${String(index).padStart(5, '0')}.bin`)
