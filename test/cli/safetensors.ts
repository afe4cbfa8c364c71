interface Tensor {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

/** A safetensors file of float32 tensors: the length of the JSON header as u64, the header and the data. */
export function safetensors(tensors: Readonly<Record<string, Tensor>>): Buffer {
  let offset = 0
  const header = Object.entries(tensors).map(([name, { shape, data }]) => {
    const start = offset
    offset += data.byteLength
    return [name, { dtype: 'F32', shape, data_offsets: [start, offset] }]
  })
  const json = Buffer.from(JSON.stringify(Object.fromEntries(header)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  // A copy, because tensors of a checkpoint may be views.
  const data = Object.values(tensors).map((tensor) => Buffer.from(Float32Array.from(tensor.data).buffer))
  return Buffer.concat([length, json, ...data])
}
