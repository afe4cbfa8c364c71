/** A pickle assembled from opcodes (pickletools.py). */
export type Fragment = Buffer

export const raw = (...bytes: number[]): Fragment => Buffer.from(bytes)

export const global = (module: string, name: string): Fragment => Buffer.from(`c${module}\n${name}\n`)

export function text(value: string): Fragment {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([raw(0x58), length, bytes])
}

/** BININT, or LONG1 with eight bytes for numbers beyond 32 bits. */
export function integer(value: number): Fragment {
  if (Math.abs(value) < 2 ** 31) {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32LE(value)
    return Buffer.concat([raw(0x4a), bytes])
  }
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(BigInt(value))
  return Buffer.concat([raw(0x8a, 8), bytes])
}

export const tuple = (...items: Fragment[]): Fragment => Buffer.concat([raw(0x28), ...items, raw(0x74)])

export const call = (callee: Fragment, ...args: Fragment[]): Fragment =>
  Buffer.concat([callee, tuple(...args), raw(0x52)])

export const dictionary = (entries: Record<string, Fragment>): Fragment =>
  Buffer.concat([
    raw(0x7d, 0x28),
    ...Object.entries(entries).flatMap(([key, value]) => [text(key), value]),
    raw(0x75),
  ])

export interface TensorSpec {
  readonly key?: string
  readonly type?: string
  readonly elements: number
  readonly offset?: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

export function tensor({
  key = '0',
  type = 'FloatStorage',
  elements,
  offset = 0,
  shape,
  strides,
}: TensorSpec): Fragment {
  const id = tuple(text('storage'), global('torch', type), text(key), text('cpu'), integer(elements))
  return call(
    global('torch._utils', '_rebuild_tensor_v2'),
    Buffer.concat([id, raw(0x51)]),
    integer(offset),
    tuple(...shape.map(integer)),
    tuple(...strides.map(integer)),
    raw(0x89),
    call(global('collections', 'OrderedDict')),
  )
}

/** A complete pickle of protocol 2. */
export const pickle = (root: Fragment): Buffer => Buffer.concat([raw(0x80, 2), root, raw(0x2e)])
