import { sha256 } from '@noble/hashes/sha2.js'
import t from 'tap'
import { circuitDigest, readCircuit, readOutline, writeCircuit } from '../../../src/circuit/format/file.ts'
import { MAX_HEADER_BYTES } from '../../../src/circuit/manifest/bounds.ts'
import type { ComplexVector } from '../../../src/circuit/types.ts'
import { widen } from '../../../src/compiler/lowering/widen.ts'
import { complexCircuit, SCALE, smallCircuit, spelledOut } from '../circuits.ts'
import { forgedFile, type Loose } from '../forged.ts'

const bytes = writeCircuit(smallCircuit())

/** A file changed by `edit`, with a digest that fits. */
function resealed(edit: (bytes: Uint8Array) => void, source = bytes): Uint8Array {
  const changed = source.slice()
  edit(changed)
  changed.set(sha256(changed.subarray(0, -32)), changed.length - 32)
  return changed
}

/** The file with one piece of its JSON header replaced by another of the same length. */
function withHeader(from: string, to: string): Uint8Array {
  const offset = Buffer.from(bytes).indexOf(from)
  if (offset < 0 || from.length !== to.length) throw new Error(`cannot replace ${from}`)
  return resealed((changed) => changed.set(Buffer.from(to), offset))
}

/** Offset of a byte, counted from the start of the one-byte columns at the end. */
const fromEnd = (back: number): number => bytes.length - 32 - back

t.test('writing and reading a circuit does not change it', async (t) => {
  const circuit = smallCircuit()
  const read = readCircuit(bytes)
  t.strictSame(spelledOut(read), circuit)
  t.same(writeCircuit(read), bytes, 'writing it again gives the same bytes')
})

t.test('writing and reading a circuit with complex constants does not change it', async (t) => {
  const circuit = complexCircuit()
  const written = writeCircuit(circuit)
  const read = readCircuit(written)
  t.strictSame(spelledOut(read), circuit)
  t.same(writeCircuit(read), written, 'writing it again gives the same bytes')
  t.equal(readOutline(written, written.length).conjugation, true)
})

t.test('the bytes of a file change with the format alone', async (t) => {
  t.equal(circuitDigest(bytes), '2eab4ea30664ba4bd56d94b4c1e48126dcd7436247081e323719c87255bfb58c')
})

t.test('a header that says otherwise about complex numbers than the columns is refused', async (t) => {
  const written = writeCircuit(complexCircuit())
  const edits: [(header: Loose) => void, RegExp][] = [
    [(h) => delete h.conjugation, /other rotations, conjugations or rounds/],
    [(h) => (h.conjugation = false), /conjugation/],
    [(h) => delete h.counts.imaginary, /length is not what/],
    [(h) => (h.counts.imaginary = 3), /length is not what/],
  ]
  for (const [edit, message] of edits) {
    t.throws(() => readCircuit(forgedFile(written, edit)), { code: 'CONFIG_INVALID', message })
  }
  const real = forgedFile(bytes, (h) => (h.conjugation = true))
  t.throws(() => readCircuit(real), { message: /other rotations, conjugations or rounds/ })
})

t.test('both parts of complex constants are stored once', async (t) => {
  const circuit = complexCircuit()
  const [first, , , last] = [...circuit.constants] as ComplexVector[]
  const turned = { real: last.imaginary, imaginary: last.real }
  const larger = { ...circuit, constants: [...circuit.constants, turned, first] }
  const written = writeCircuit(larger)
  t.ok(written.length - writeCircuit(circuit).length < 100)
  t.strictSame([...readCircuit(written).constants], [...larger.constants])
})

t.test('a file at an odd offset of a larger buffer is read', async (t) => {
  const buffer = new Uint8Array(bytes.length + 7)
  buffer.set(bytes, 3)
  t.strictSame(spelledOut(readCircuit(buffer.subarray(3, 3 + bytes.length))), smallCircuit())
})

t.test('a Buffer, as Node reads files, is read', async (t) => {
  const buffer = Buffer.alloc(bytes.length + 8)
  buffer.set(bytes, 3)
  const read = readCircuit(buffer.subarray(3, 3 + bytes.length))
  buffer.fill(0)
  t.strictSame(spelledOut(read), smallCircuit(), 'the circuit does not share memory with the Buffer')
})

t.test('the digest is the SHA-256 of the bytes before it', async (t) => {
  t.equal(circuitDigest(bytes), Buffer.from(sha256(bytes.subarray(0, -32))).toString('hex'))
  const other = smallCircuit()
  other.constants[1][0] = 0.3 + 2 ** -54
  t.not(circuitDigest(writeCircuit(other)), circuitDigest(bytes))
})

t.test('outer products are stored as their factors, and shared factors once', async (t) => {
  const circuit = smallCircuit()
  const coarse = Float64Array.from({ length: 1024 }, (_, i) => Math.cos(i))
  const outer = [0, 1, 2].map((i) => ({ fine: Float64Array.of(i, 0.5, -i, 2), coarse }))
  const larger = { ...circuit, constants: [...circuit.constants, ...outer] }
  const written = writeCircuit(larger)
  t.ok(written.length - bytes.length < 8 * 1024 + 3 * 64)
  t.strictSame([...readCircuit(written).constants], larger.constants)
})

t.test('equal constants are stored once', async (t) => {
  const circuit = smallCircuit()
  const twice = { ...circuit, constants: [...circuit.constants, circuit.constants[2].slice()] }
  t.equal(writeCircuit(twice).length - bytes.length < 64, true)
  t.strictSame([...readCircuit(writeCircuit(twice)).constants], twice.constants)
})

t.test('a circuit that breaks a law is not written', async (t) => {
  t.throws(() => writeCircuit({ ...smallCircuit(), result: 9 }), { code: 'SCALE_MISMATCH' })
})

t.test('a circuit that could not be read back is not written', async (t) => {
  const circuit = smallCircuit()
  const [layer] = circuit.layers
  const layers = [{ ...layer, precisionBits: Number.POSITIVE_INFINITY }, layer]
  t.throws(() => writeCircuit({ ...circuit, layers }), {
    code: 'CONFIG_INVALID',
    message: /layers.0.precisionBits/,
  })
  t.throws(() => writeCircuit({ ...circuit, model: '' }), { code: 'CONFIG_INVALID', message: /model/ })
})

t.test('a batch is written and read', async (t) => {
  const small = smallCircuit()
  const constants = small.constants.map((constant: Float64Array) => constant.slice(0, 2048))
  const circuit = { ...small, batch: 2, ...widen({ ops: small.ops, constants }, 2) }
  const read = readCircuit(writeCircuit(circuit))
  t.strictSame(spelledOut(read), circuit)
  t.same(writeCircuit(read), writeCircuit(circuit))
})

t.test('every truncation is refused', async (t) => {
  for (const length of [0, 1, 8, 11, 12, 43, 44, 500, bytes.length - 1]) {
    t.throws(() => readCircuit(bytes.subarray(0, length)), { code: 'CONFIG_INVALID' }, `${length} bytes`)
  }
})

t.test('every flipped bit is refused', async (t) => {
  for (let offset = 0; offset < bytes.length; offset += 97) {
    const changed = bytes.slice()
    changed[offset] ^= 1 << (offset % 8)
    t.throws(() => readCircuit(changed), { code: 'CONFIG_INVALID' }, `at ${offset}`)
  }
})

t.test('bytes after the end are refused', async (t) => {
  const longer = new Uint8Array(bytes.length + 8)
  longer.set(bytes)
  t.throws(() => readCircuit(resealed(() => {}, longer)), {
    code: 'CONFIG_INVALID',
    message: /length is not what/,
  })
})

const malicious: [what: string, file: Uint8Array, code: string, message: RegExp][] = [
  ['another version', resealed((b) => b.set([0x39], 7)), 'CONFIG_INVALID', /version/],
  ['a huge header', resealed((b) => b.fill(0xff, 8, 12)), 'CONFIG_INVALID', /header has a wrong length/],
  ['no JSON', resealed((b) => b.set([0x5b], 12)), 'CONFIG_INVALID', /no JSON/],
  ['an unknown field', withHeader('"model"', '"mode!"'), 'CONFIG_INVALID', /malformed/],
  ['a wrong count', withHeader('"ops":11', '"ops":99'), 'CONFIG_INVALID', /length is not what/],
  ['a weak ring', withHeader('"ring":8192', '"ring":4096'), 'CONFIG_INVALID', /Ring 4096/],
  [
    'a composite prime',
    withHeader(smallCircuit().parameters.primes[0].toString(), '1125899906842625'),
    'CONFIG_INVALID',
    /prime|modulo/,
  ],
  [
    'a wrong image',
    withHeader('[3,3,5],"layout"', '[3,4,5],"layout"'),
    'CONFIG_INVALID',
    /contradicts itself/,
  ],
  ['no images', withHeader('"batch":1', '"batch":0'), 'CONFIG_INVALID', /batch/],
  [
    'no field for the batch',
    withHeader('"batch":1,"counts":', '"counts":          '),
    'CONFIG_INVALID',
    /batch/,
  ],
  ['three images', withHeader('"batch":1', '"batch":3'), 'CONFIG_INVALID', /batch does not divide/],
  [
    'a batch whose images it mixes',
    withHeader('"batch":1', '"batch":2'),
    'CONFIG_INVALID',
    /mixes the images/,
  ],
  ['a wrong input', withHeader('"patch":1', '"patch":0'), 'CONFIG_INVALID', /input.patch/],
  [
    'another rotation',
    withHeader('"rotationSteps":[7]', '"rotationSteps":[5]'),
    'CONFIG_INVALID',
    /rotations, conjugations or rounds/,
  ],
  [
    'a round in place of a rotation',
    withHeader('"rotationSteps":[7],"rounds":[]', '"rotationSteps":[],"rounds":[7]'),
    'CONFIG_INVALID',
    /rotations, conjugations or rounds/,
  ],
  ['another result', withHeader('"result":10', '"result":99'), 'CONFIG_INVALID', /result 99/],
  ['an unknown operation', resealed((b) => b.set([200], fromEnd(11))), 'CONFIG_INVALID', /no operation 200/],
  ['a wrong level', resealed((b) => b.set([1], fromEnd(22))), 'LEVEL_EXHAUSTED', /Operation 0/],
  ['too many terms', resealed((b) => b.set([4], fromEnd(22 + 88 - 16))), 'CONFIG_INVALID', /terms end early/],
  [
    'too few terms',
    resealed((b) => b.set([2], fromEnd(22 + 88 - 16))),
    'CONFIG_INVALID',
    /terms are left over/,
  ],
]

for (const [what, file, code, message] of malicious) {
  t.test(`a file with ${what} and a digest that fits is refused`, async (t) => {
    t.throws(() => readCircuit(file), { code, message })
  })
}

t.test('scales are read without rounding', async (t) => {
  t.equal(readCircuit(bytes).ops[5].scale, SCALE.rescaled)
})

const hostile: [what: string, edit: (header: Loose) => void, message: RegExp][] = [
  ['rotations by 2^32 - 1', (h) => (h.rotationSteps = [2 ** 32 - 1]), /beyond the slots/],
  [
    'more rotations than there are',
    (h) => (h.rotationSteps = Array(100_000).fill(2 ** 32 - 1)),
    /rotationSteps: .*at most 32767/,
  ],
  ['unordered rotations', (h) => (h.rotationSteps = [7, 5]), /ascending/],
  [
    'too many primes',
    (h) => (h.parameters.primes = Array(100_000).fill(h.parameters.primes[0])),
    /at most 96/,
  ],
  ['too many layers', (h) => (h.layers = Array(2 ** 16 + 1).fill(h.layers[0])), /layers: .*at most 65536/],
  ['too many rounds', (h) => (h.rounds = Array(10_001).fill(1)), /rounds: .*at most 10000/],
  ['a bound that pictures exceed', (h) => (h.input.bound = 6.5), /beyond the bound/],
  [
    'a resize of 8000 x 8000',
    (h) => Object.assign(h.input.preprocessing.resize, { height: 8000, width: 8000 }),
    /resize.height/,
  ],
]

for (const [what, edit, message] of hostile) {
  t.test(`a header with ${what} is refused`, async (t) => {
    const file = forgedFile(bytes, edit)
    t.throws(() => readOutline(file, file.length), { code: 'CONFIG_INVALID', message })
    t.throws(() => readCircuit(file), { code: 'CONFIG_INVALID' }, 'readCircuit refuses the whole file, too')
  })
}

t.test('headers of up to 8 MiB are read and written, larger ones are refused', async (t) => {
  const long = forgedFile(bytes, (header) => {
    header.model = 'm'.repeat(MAX_HEADER_BYTES)
  })
  t.throws(() => readCircuit(long), { code: 'CONFIG_INVALID', message: /header has a wrong length/ })
  const small = smallCircuit()
  const labels = Array(50_000).fill('l'.repeat(256))
  t.throws(() => writeCircuit({ ...small, labels, output: { ...small.output, classes: 50_000 } }), {
    code: 'CONFIG_INVALID',
  })
})

t.test('a refresh in round 2^32 - 1 is refused before rounds are counted', async (t) => {
  const file = resealed((b) => {
    // Kind and second argument of operation 2. The columns have 11 operations.
    b[b.length - 32 - 11 + 2] = 10
    b.set([0xff, 0xff, 0xff, 0xff], b.length - 32 - 22 - 44 + 8)
  })
  t.throws(() => readCircuit(file), { code: 'CONFIG_INVALID', message: /no round 4294967295/ })
})
