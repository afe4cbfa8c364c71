/** How the elements of one datatype are stored, and how they become numbers. Little-endian. */
export interface Datatype {
  readonly bytes: number
  read(view: DataView, offset: number): number
}

const LITTLE = true

/**
 * The datatypes that checkpoints may use. Float64 and integers are rounded to float32 when a tensor is made
 * of them; only batch counters and a trainer's own state, which inference ignores, are integers.
 */
export const DATATYPES = {
  F32: { bytes: 4, read: (view, at) => view.getFloat32(at, LITTLE) },
  F16: { bytes: 2, read: (view, at) => view.getFloat16(at, LITTLE) },
  BF16: { bytes: 2, read: (view, at) => bfloat16(view.getUint16(at, LITTLE)) },
  F64: { bytes: 8, read: (view, at) => view.getFloat64(at, LITTLE) },
  I64: { bytes: 8, read: (view, at) => Number(view.getBigInt64(at, LITTLE)) },
  I32: { bytes: 4, read: (view, at) => view.getInt32(at, LITTLE) },
  I16: { bytes: 2, read: (view, at) => view.getInt16(at, LITTLE) },
  I8: { bytes: 1, read: (view, at) => view.getInt8(at) },
  U8: { bytes: 1, read: (view, at) => view.getUint8(at) },
  BOOL: { bytes: 1, read: (view, at) => view.getUint8(at) },
} as const satisfies Record<string, Datatype>

export type DatatypeName = keyof typeof DATATYPES

const scratch = new DataView(new ArrayBuffer(4))

/** A bfloat16 is the upper half of a float32. */
function bfloat16(bits: number): number {
  scratch.setUint32(0, bits << 16)
  return scratch.getFloat32(0)
}
