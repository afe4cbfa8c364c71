import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { parseSafetensors, readCheckpoint, readSafetensors } from '../../../src/models/index.ts'
import { goldenFile } from '../support/golden.ts'

/** A safetensors file of a given header and data. */
function file(header: unknown, data: Uint8Array = new Uint8Array()): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, data])
}

const floats = (values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer)

const entry = (shape: readonly number[], begin: number, end: number, dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
})

const unreadable = { code: 'CHECKPOINT_UNREADABLE' }

t.test('golden files are read as their metadata describes them', async (t) => {
  const tensors = await readSafetensors(goldenFile('micro_s.golden.safetensors'))
  t.same(tensors.get('input')?.shape, [4, 3, 96, 96])
  t.same(tensors.get('reductions.5')?.shape, [4, 48, 3, 3])
  t.notOk(tensors.has('__metadata__'))
})

t.test('every datatype is read', async (t) => {
  const data = Buffer.concat([
    Buffer.from(BigInt64Array.of(-7n).buffer),
    Buffer.from(Float64Array.of(0.1).buffer),
    Buffer.from(Int32Array.of(-70_000).buffer),
    Buffer.from([0x00, 0xbe]), // F16 -1.5
    Buffer.from([0xc0, 0xbf]), // BF16 -1.5
  ])
  const tensors = parseSafetensors(
    file(
      {
        i64: entry([1], 0, 8, 'I64'),
        f64: entry([], 8, 16, 'F64'),
        i32: entry([1], 16, 20, 'I32'),
        f16: entry([1], 20, 22, 'F16'),
        bf16: entry([1], 22, 24, 'BF16'),
      },
      data,
    ),
  )
  const values = Object.fromEntries([...tensors].map(([name, tensor]) => [name, tensor.data[0]]))
  t.same(values, { i64: -7, f64: Math.fround(0.1), i32: -70_000, f16: -1.5, bf16: -1.5 })
})

t.test('names such as __proto__ have no special meaning', async (t) => {
  const names = ['__proto__', 'constructor', 'toString', '']
  const header = names.map(
    (name, i) => `${JSON.stringify(name)}:${JSON.stringify(entry([1], 4 * i, 4 * i + 4))}`,
  )
  const tensors = parseSafetensors(file(`{${header.join()}}`, floats([1, 2, 3, 4])))
  t.same(
    [...tensors].map(([name, { data }]) => [name, data[0]]),
    names.map((name, i) => [name, i + 1]),
  )
})

t.test('all written tensors are read back', async () => {
  const name = fc.string({ minLength: 1, maxLength: 12 }).filter((name) => name !== '__metadata__')
  const shape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 })
  const shapes = fc.array(fc.tuple(name, shape), { maxLength: 8 })
  fc.assert(
    fc.property(shapes, fc.infiniteStream(fc.float()), (list, stream) => {
      const header: [string, unknown][] = []
      const expected = new Map<string, { shape: number[]; data: Float32Array }>()
      const values: number[] = []
      for (const [name, shape] of new Map(list)) {
        const data = [...stream.take(shape.reduce((a, b) => a * b, 1))]
        header.push([name, entry(shape, 4 * values.length, 4 * (values.length + data.length))])
        values.push(...data)
        expected.set(name, { shape, data: Float32Array.from(data) })
      }
      const json = `{${header.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`
      const found = parseSafetensors(file(json, floats(values)))
      if (found.size !== expected.size) throw new Error(`${found.size} tensors for ${expected.size}`)
      for (const [name, { shape, data }] of expected) {
        const tensor = found.get(name)
        const same =
          tensor?.data.every((value, i) => Object.is(value, data[i])) && tensor.data.length === data.length
        if (!same || tensor?.shape.join() !== shape.join()) throw new Error(`${name} differs`)
      }
    }),
    { numRuns: 200 },
  )
})

t.test('any bytes are read or refused with an error of PolyVeil', async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.json().map((json) => file(json)),
    fc.tuple(fc.json(), fc.uint8Array()).map(([json, data]) => file({ a: JSON.parse(json) }, data)),
    fc
      .record({
        dtype: fc.constantFrom('F32', 'F16', 'I64', 'X'),
        shape: fc.array(fc.integer({ min: -1 }), { maxLength: 3 }),
        data_offsets: fc.tuple(fc.integer(), fc.maxSafeInteger()),
      })
      .map((tensor) => file({ tensor }, new Uint8Array(32))),
  )
  fc.assert(
    fc.property(bytes, (input) => {
      try {
        parseSafetensors(input)
      } catch (error) {
        if ((error as { code?: string }).code !== 'CHECKPOINT_UNREADABLE') throw error
      }
    }),
    { numRuns: 500 },
  )
})

t.test('malformed files are refused', async (t) => {
  const eight = floats([1, 2])
  const faults: [what: string, content: Uint8Array][] = [
    ['nothing', new Uint8Array()],
    ['seven bytes', new Uint8Array(7)],
    [
      'a header longer than the file',
      Buffer.concat([Buffer.from('ffffff7f00000000', 'hex'), Buffer.from('{}')]),
    ],
    ['a header of 2^63 bytes', Buffer.concat([Buffer.from('0000000000000080', 'hex'), Buffer.from('{}')])],
    ['no JSON', file('{"a":')],
    ['an array', file('[]')],
    [
      'malformed UTF-8',
      Buffer.concat([Buffer.from('0400000000000000', 'hex'), Buffer.from('7b22ff22', 'hex')]),
    ],
    ['an unknown datatype', file({ a: entry([2], 0, 8, 'F8') }, eight)],
    ['a negative size', file({ a: entry([-2], 0, 8) }, eight)],
    ['a fractional size', file({ a: entry([0.5, 4], 0, 8) }, eight)],
    ['nine dimensions', file({ a: entry([1, 1, 1, 1, 1, 1, 1, 1, 2], 0, 8) }, eight)],
    ['an overflowing shape', file({ a: entry([2 ** 31, 2 ** 31, 2 ** 31], 0, 8) }, eight)],
    ['a shape that the bytes do not fill', file({ a: entry([3], 0, 8) }, eight)],
    ['offsets beyond the data', file({ a: entry([3], 0, 12) }, eight)],
    ['offsets that run backwards', file({ a: entry([2], 8, 0) }, eight)],
    ['a hole', file({ a: entry([1], 0, 4), b: entry([1], 8, 12) }, floats([1, 2, 3]))],
    ['an overlap', file({ a: entry([2], 0, 8), b: entry([2], 4, 12) }, floats([1, 2, 3]))],
    ['two tensors of the same bytes', file({ a: entry([2], 0, 8), b: entry([2], 0, 8) }, eight)],
    ['trailing bytes', file({ a: entry([1], 0, 4) }, eight)],
  ]
  for (const [what, content] of faults) t.throws(() => parseSafetensors(content), unreadable, what)
})

t.test('large headers and headers of many tensors are refused before they are parsed', async (t) => {
  const nested = `{"__metadata__":{"a":[${'{},'.repeat(2 ** 21)}{}]}}`
  t.throws(() => parseSafetensors(file(nested)), { ...unreadable, message: /longer than/ })
  const many = `{${Array.from({ length: 2 ** 15 + 1 }, (_, k) => `"${k}":0`).join()}}`
  t.throws(() => parseSafetensors(file(many)), { ...unreadable, message: /32769 tensors/ })
})

t.test('readCheckpoint reads and checks safetensors files', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'weights.safetensors')
  writeFileSync(path, file({ 'module.a': entry([2], 0, 8) }, floats([3, -4])))
  t.same((await readCheckpoint(path)).get('a')?.data, Float32Array.of(3, -4))

  const golden = readFileSync(goldenFile('one_shot.golden.safetensors'))
  const cut = join(folder, 'cut.safetensors')
  for (const bytes of [9, 400, golden.length - 1]) {
    writeFileSync(cut, golden.subarray(0, bytes))
    await t.rejects(readCheckpoint(cut), unreadable, `cut to ${bytes} bytes`)
  }
  await t.rejects(readSafetensors(join(folder, 'absent')), { ...unreadable, message: /ENOENT/ })
})
