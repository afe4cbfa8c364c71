import { unreadable, unsafe } from '../errors.ts'
import { elementCount } from '../tensor.ts'
import {
  type Dictionary,
  type Global,
  StorageReference,
  TensorReference,
  Tuple,
  type Value,
} from './values.ts'

const MAX_DIMENSIONS = 8

/**
 * The result of `REDUCE` for an allowed global and its arguments.
 *
 * @throws CHECKPOINT_UNSAFE for any other call
 */
export function build(callee: Value, args: Value): Value {
  if (!(args instanceof Tuple)) throw unreadable('its pickle passes arguments that are no tuple')
  if (!isGlobal(callee)) throw unsafe('calling something that is no function')
  if (callee.kind === 'orderedDict' && args.items.length === 0) return new Map()
  if (callee.kind === 'rebuildTensor') return rebuildTensor(args.items)
  if (callee.kind === 'rebuildParameter') return parameterTensor(args.items)
  throw unsafe(`calling ${callee.kind} with arguments`)
}

/** The storage that a persistent id `('storage', type, key, location, elements)` stands for. */
export function storageOf(id: Value): StorageReference {
  const [tag, type, key, , elements] = id instanceof Tuple ? id.items : []
  const whole = typeof elements === 'number' && Number.isSafeInteger(elements) && elements >= 0
  if (
    tag !== 'storage' ||
    !isGlobal(type) ||
    type.kind !== 'storageType' ||
    typeof key !== 'string' ||
    !whole
  ) {
    throw unreadable('its pickle refers to something that is no storage')
  }
  return new StorageReference(key, type.dtype, elements)
}

export const isDictionary = (value: Value | undefined): value is Dictionary => value instanceof Map

const isGlobal = (value: Value | undefined): value is Global =>
  typeof value === 'object' && value !== null && 'kind' in value

/** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`. */
function rebuildTensor([storage, offset, shape, strides]: readonly Value[]): TensorReference {
  if (!(storage instanceof StorageReference)) throw unreadable('its pickle has a tensor without storage')
  const start = wholeNumbers(new Tuple([offset]))[0]
  const tensor = new TensorReference(storage, start, wholeNumbers(shape), wholeNumbers(strides))
  checkInside(tensor)
  return tensor
}

/** `_rebuild_parameter(data, requires_grad, backward_hooks)`: a parameter is its tensor. */
function parameterTensor([data]: readonly Value[]): TensorReference {
  if (!(data instanceof TensorReference)) throw unreadable('its pickle has a parameter that is no tensor')
  return data
}

function wholeNumbers(value: Value): number[] {
  const items = value instanceof Tuple ? value.items : [undefined]
  if (items.length > MAX_DIMENSIONS) throw unreadable(`a tensor has ${items.length} dimensions`)
  return items.map((item) => {
    if (typeof item !== 'number' || !Number.isSafeInteger(item) || item < 0) {
      throw unreadable('a tensor has an offset, size or stride that is no whole number')
    }
    return item
  })
}

/** The last element that the view touches must lie in the storage. */
function checkInside({ storage, offset, shape, strides }: TensorReference): void {
  const elements = elementCount(shape)
  const last = shape.reduce((sum, size, i) => sum + (size - 1) * strides[i], offset)
  if (
    shape.length !== strides.length ||
    Number.isNaN(elements) ||
    (elements > 0 && last >= storage.elements)
  ) {
    throw unreadable(`a tensor of shape [${shape}] reaches beyond its storage`)
  }
}
