import { DATATYPES } from './datatypes.ts'
import { selectEntry } from './entries.ts'
import { unreadable } from './errors.ts'
import { MAX_PICKLE_BYTES, unpickle } from './pickle/unpickle.ts'
import type { StorageReference, TensorReference } from './pickle/values.ts'
import { type Checkpoint, type CheckpointTensor, elementCount, MAX_ELEMENTS, type Weights } from './tensor.ts'
import { type TorchZip, withTorchZip } from './torch-zip.ts'

/** How many times a state dict may repeat what it stores; shared weights are stored once and named twice. */
const MOST_REPEATS = 4
/** Repeated bytes that are always allowed, for small files. */
const FREE_ELEMENTS = 2 ** 16

/**
 * Reads a state dict of a PyTorch zip checkpoint, bare or one of its entries (`selectEntry`); names are kept
 * as they are. Nothing in the file is executed.
 *
 * @param wanted name of the entry
 * @throws CHECKPOINT_UNSAFE when the pickle asks for anything but tensors, naming it
 * @throws CHECKPOINT_UNREADABLE when the archive or the pickle is damaged, or larger than any network of the
 *   family
 * @throws CONFIG_INVALID when there is no entry `wanted`
 */
export function readPt(path: string, wanted?: string): Promise<Weights> {
  return withTorchZip(path, async (zip) => {
    await checkByteOrder(zip)
    const { entry, entries, notes } = selectEntry(unpickle(await readPickle(zip)), wanted)
    checkTotal(entry.tensors)
    return {
      tensors: await materialise(zip, entry.tensors),
      entry: entry.name,
      entries: entries.map(({ name, tensors }) => ({ name, tensors: tensors.size })),
      notes,
    }
  })
}

/** Older versions of torch do not state the byte order; they ran on little-endian machines. */
async function checkByteOrder(zip: TorchZip): Promise<void> {
  if (!zip.has('byteorder')) return
  const order = new TextDecoder().decode(await zip.read('byteorder'))
  if (order !== 'little') throw unreadable('it was not saved on a little-endian machine')
}

async function readPickle(zip: TorchZip): Promise<Uint8Array> {
  const bytes = zip.sizeOf('data.pkl')
  if (bytes > MAX_PICKLE_BYTES) {
    throw unreadable(`its pickle has ${bytes} bytes, more than ${MAX_PICKLE_BYTES}`)
  }
  return zip.read('data.pkl')
}

/**
 * Bounds the bytes that are read and the tensors that are made. The file's size bounds neither: views may
 * repeat a storage's elements, and entries of an archive may overlap.
 */
function checkTotal(references: ReadonlyMap<string, TensorReference>): void {
  const storages = new Map([...references.values()].map(({ storage }) => [storage.key, storage]))
  const made = sum([...references.values()].map(({ shape }) => elementCount(shape)))
  const read = sum([...storages.values()].map(({ elements }) => elements))
  const elements = Math.max(made, read)
  if (elements > MAX_ELEMENTS) throw unreadable(`it has ${elements} elements, more than ${MAX_ELEMENTS}`)
  if (made > Math.max(FREE_ELEMENTS, MOST_REPEATS * read)) {
    throw unreadable(`its tensors have ${made} elements, but only ${read} are stored`)
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0)

/** Reads each storage once, however many tensors share it. */
async function materialise(
  zip: TorchZip,
  references: ReadonlyMap<string, TensorReference>,
): Promise<Checkpoint> {
  const byStorage = Map.groupBy(references, ([, { storage }]) => storage.key)
  const tensors = new Map<string, CheckpointTensor>()
  for (const sharing of byStorage.values()) {
    const bytes = await readStorage(zip, theStorage(sharing.map(([, { storage }]) => storage)))
    for (const [name, reference] of sharing) {
      tensors.set(name, {
        shape: reference.shape,
        data: gather(reference, bytes),
        datatype: reference.storage.dtype,
      })
    }
  }
  return tensors
}

/** References to one key must describe one storage, or a view could reach beyond its bytes. */
function theStorage([storage, ...others]: readonly StorageReference[]): StorageReference {
  if (others.some(({ dtype, elements }) => dtype !== storage.dtype || elements !== storage.elements)) {
    throw unreadable(`storage ${storage.key} is described in two ways`)
  }
  return storage
}

async function readStorage(zip: TorchZip, { key, dtype, elements }: StorageReference): Promise<DataView> {
  const name = `data/${key}`
  if (zip.sizeOf(name) !== elements * DATATYPES[dtype].bytes) {
    throw unreadable(`storage ${key} has ${zip.sizeOf(name)} bytes, which are not ${elements} of ${dtype}`)
  }
  const content = await zip.read(name)
  return new DataView(content.buffer, content.byteOffset, content.byteLength)
}

/** Copies a strided view into row-major order. */
function gather({ storage, offset, shape, strides }: TensorReference, bytes: DataView): Float32Array {
  const { bytes: size, read } = DATATYPES[storage.dtype]
  const data = new Float32Array(elementCount(shape))
  const index = new Array<number>(shape.length).fill(0)
  let position = offset
  for (let i = 0; i < data.length; i++) {
    data[i] = read(bytes, position * size)
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position += strides[axis]
      if (++index[axis] < shape[axis]) break
      position -= strides[axis] * shape[axis]
      index[axis] = 0
    }
  }
  return data
}
