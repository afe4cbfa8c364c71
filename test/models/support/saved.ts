import { writeFileSync } from 'node:fs'
import type { Checkpoint } from '../../../src/models/index.ts'
import { dictionary, type Fragment, pickle, tensor } from './pickle.ts'
import { type ZipEntry, zip } from './zip.ts'

/** Writes files like those of `torch.save`: state dicts and other values. Each tensor has its own storage. */
export class TorchFile {
  readonly #storages: ZipEntry[] = []

  /** @param rename gives the name of a tensor in the file */
  stateDict(tensors: Checkpoint, rename: (name: string) => string = (name) => name): Fragment {
    const entries = [...tensors].map(([name, { shape, data }]) => [rename(name), this.tensor(data, shape)])
    return dictionary(Object.fromEntries(entries))
  }

  tensor(data: Float32Array, shape: readonly number[] = [data.length]): Fragment {
    const key = String(this.#storages.length)
    this.#storages.push({ name: `x/data/${key}`, content: new Uint8Array(data.slice().buffer) })
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1))
    return tensor({ key, elements: data.length, shape, strides })
  }

  /** @returns the path */
  write(path: string, root: Fragment): string {
    writeFileSync(path, zip([{ name: 'x/data.pkl', content: pickle(root) }, ...this.#storages]))
    return path
  }
}

/** The same network with other weights. */
export const scaled = (tensors: Checkpoint, factor: number): Checkpoint =>
  new Map([...tensors].map(([name, { shape, data }]) => [name, { shape, data: data.map((x) => factor * x) }]))
