import type { DatatypeName } from '../datatypes.ts'

/** A storage that the pickle refers to; its bytes are the zip entry `data/<key>`. */
export class StorageReference {
  readonly key: string
  readonly dtype: DatatypeName
  readonly elements: number

  constructor(key: string, dtype: DatatypeName, elements: number) {
    this.key = key
    this.dtype = dtype
    this.elements = elements
  }
}

/** A strided view of a storage, in elements; checked to stay inside it. */
export class TensorReference {
  readonly storage: StorageReference
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]

  constructor(
    storage: StorageReference,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.storage = storage
    this.offset = offset
    this.shape = shape
    this.strides = strides
  }
}

/** An immutable sequence, to be told from a list. */
export class Tuple {
  readonly items: readonly Value[]

  constructor(items: readonly Value[]) {
    this.items = items
  }
}

/** A name on the allow-list: something that builds tensors or dictionaries, or a storage's datatype. */
export type Global =
  | { readonly kind: 'storageType'; readonly dtype: DatatypeName }
  | { readonly kind: 'orderedDict' }
  | { readonly kind: 'rebuildTensor' }
  | { readonly kind: 'rebuildParameter' }

/**
 * Both `dict` and `OrderedDict`, without items whose keys are other values, such as None or tuples. A Map, so
 * that no key can reach a prototype.
 */
export type Dictionary = Map<string | number | bigint | boolean, Value>

export type Value =
  | null
  | boolean
  | number
  /** Integers beyond 2^53, such as seeds. */
  | bigint
  | string
  | Value[]
  | Tuple
  | Dictionary
  | Global
  | StorageReference
  | TensorReference
