import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { answerPeriod } from '../../src/circuit/answer.ts'
import { type Circuit, readCircuit, writeCircuit } from '../../src/circuit/index.ts'
import type { Op } from '../../src/circuit/types.ts'
import { imageSlots, readBatch } from '../../src/client/index.ts'
import { createClearEvaluator } from '../../src/he-ops/clear/evaluator.ts'
import { periodicPart } from '../../src/he-ops/encoding/decode-periodic.ts'
import { execute } from '../../src/he-ops/executor.ts'
import { smallCircuit } from '../circuit/circuits.ts'
import { factorWithin } from '../client/stretched.ts'
import { goldenTensors, item } from '../models/support/golden.ts'
import { casesOf, isThorough } from '../support/thorough.ts'
import { safetensors } from './safetensors.ts'
import { failed, goldenOf, polyveil, type Ran, sourceOf } from './support.ts'

const directory = t.testdir()
const path = join(directory, 'one.pvc')
const compiled = await compile(path, '--refresh', 'never')
const verify = (...flags: string[]) => polyveil(['verify', path, ...flags])
// The same network with refreshes, where an encrypted image takes a third of the time.
const refreshed = join(directory, 'refreshed.pvc')
t.equal((await compile(refreshed, '--refresh', 'client', '--ring', '8192')).code, 0)
const verifyRefreshed = (...flags: string[]) => polyveil(['verify', refreshed, ...flags])

function compile(out: string, ...flags: string[]): Promise<Ran> {
  return polyveil(['compile', ...sourceOf('one_shot'), ...flags, '--out', out, '--json'])
}

/** Fields of product.md that every backend fills. */
function isComplete(t: Test, json: Record<string, unknown>, backend: string, images: number): void {
  t.match(json, { ok: true, backend, images, top1Agreement: 1, rounds: 0 })
  const numbers = { maxAbsError: Number, rmsError: Number, precisionBits: Number, peakRssBytes: Number }
  const seconds = { keygen: 0, encrypt: 0, execute: 0, refreshClient: 0, decrypt: 0, total: 0 }
  const bytes = { keys: 0, query: 0, refreshUp: 0, refreshDown: 0, response: 0 }
  t.match(json, numbers)
  t.strictSame(Object.keys(json.seconds as object).sort(), Object.keys(seconds).sort())
  t.strictSame(Object.keys(json.bytes as object).sort(), Object.keys(bytes).sort())
  t.strictSame(Object.keys(json.engineMemoryBytes as object).sort(), ['constants', 'keys', 'program'])
}

t.test('the golden one-shot network holds on the clear backend', async (t) => {
  const { code, json, stderr } = await verify(
    ...goldenOf('one_shot'),
    '--backend',
    'clear',
    '--json',
    '--quiet',
  )
  t.equal(code, 0)
  t.equal(stderr, '')
  isComplete(t, json, 'clear', 4)
  t.ok(json.maxAbsError < 1e-4, `exact but for float32: ${json.maxAbsError}`)
  t.strictSame(json.engineMemoryBytes, { keys: 0, constants: 0, program: 0 }, 'there is no engine')
})

t.test('and under encryption, on the engine that it was compiled for', async (t) => {
  const { code, json } = await verify(...goldenOf('one_shot'), '--json')
  t.equal(code, 0)
  isEncrypted(t, json, 'simd', 4)
  const { keys, constants, program } = json.engineMemoryBytes
  const planned = compiled.json.estimate.memoryBytes
  t.ok(keys > 5e7 && constants > 1e6 && program > 1e7)
  t.ok(Math.abs((keys + constants + program) / planned - 1) < 0.15, `${planned} bytes were planned`)
})

t.test('a small circuit holds on node-seal', async (t) => {
  const circuit = smallCircuit()
  const file = join(directory, 'small.pvc')
  writeFileSync(file, writeCircuit(circuit))
  const golden = join(directory, 'small.golden.safetensors')
  writeFileSync(golden, safetensors(clearGolden(circuit)))
  const { json } = await polyveil(['verify', file, '--golden', golden, '--backend', 'seal', '--json'])
  t.match(json, { backend: 'seal', images: 1, seconds: { total: Number } })
  t.ok(json.maxAbsError > 1e-9 && json.maxAbsError < 1e-2, `largest error ${json.maxAbsError}`)
})

if (isThorough) {
  t.test('the golden one-shot network holds on node-seal', async (t) => {
    const { code, json } = await verify(
      ...goldenOf('one_shot'),
      '--count',
      '1',
      '--backend',
      'seal',
      '--json',
    )
    t.equal(code, 0)
    isEncrypted(t, json, 'seal', 1)
  })
}

/** An image, and the logits that a circuit computes from it on plain numbers. */
function clearGolden(circuit: Circuit): Parameters<typeof safetensors>[0] {
  const { input, parameters } = circuit
  const shape = [1, ...input.image]
  const image = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i + 1) / 2)
  const clear = createClearEvaluator(circuit)
  const slots = imageSlots(Float64Array.from(image), input, parameters.slots)
  const inputs = slots.map((vector) => clear.encrypt(vector, input.level, input.scale))
  const answer = clear.decrypt(execute(circuit, clear, inputs))
  const [logits] = readBatch(periodicPart(answer, answerPeriod(circuit)), circuit)
  return {
    input: { shape, data: image },
    logits: { shape: [1, logits.length], data: Float32Array.from(logits) },
  }
}

t.test('the text says what the engine takes', async (t) => {
  const { code, stdout } = await verifyRefreshed(...goldenOf('one_shot'), '--count', '1')
  t.equal(code, 0)
  t.match(stdout.toString(), /^simd: 1 image, same top-1 on 100\.0 %\n/)
  t.match(
    stdout.toString(),
    /\nengine memory: keys [\d.]+ MB, constants [\d.]+ MB, program [\d.]+ MB; peak of the process [\d.]+ [MG]B\n/,
  )
  t.match(stdout.toString(), /\nThe verification holds\.\n$/)
})

function isEncrypted(t: Test, json: Ran['json'], backend: string, images: number): void {
  isComplete(t, json, backend, images)
  t.ok(json.maxAbsError < 1e-2, `largest error ${json.maxAbsError}`)
  t.ok(json.maxAbsError > 1e-7, 'encryption is noisy: an exact answer was not encrypted')
  t.ok(json.rmsError <= json.maxAbsError)
  for (const stage of ['keygen', 'encrypt', 'execute', 'decrypt', 'total'])
    t.ok(json.seconds[stage] > 0, stage)
  for (const what of ['keys', 'query', 'response'] as const) {
    // The plan leaves out what frames put around residues.
    const planned = compiled.json.estimate.bytes[what]
    t.ok(
      Math.abs(json.bytes[what] / planned - 1) < 1e-2,
      `${what}: ${json.bytes[what]} bytes, planned ${planned}`,
    )
  }
}

t.test('wrong golden logits end in exit code 1, by every backend’s account', async (t) => {
  const tensors = await goldenTensors('one_shot')
  const input = tensors.get('input')!
  const logits = tensors.get('logits')!
  const golden = (name: string, change: (value: number, i: number) => number): string => {
    const file = join(directory, name)
    writeFileSync(
      file,
      safetensors({ input, logits: { shape: logits.shape, data: logits.data.map(change) } }),
    )
    return file
  }
  // Images keep their top class: it is the size of the error that shows.
  const off = golden('off', (value) => value * 1.1)
  const swapped = golden('swapped', (_, i) => logits.data[(i + 10) % logits.data.length])
  for (const backend of casesOf(['clear', 'simd', 'seal'], ['clear', 'simd'])) {
    const flags = ['--golden', off, '--count', '1', '--backend', backend, '--json']
    const { code, json } = await verifyRefreshed(...flags)
    t.equal(code, 1, backend)
    t.match(json, { ok: false, top1Agreement: 1 })
    t.ok(json.rmsError > json.allowedRmsError)
  }
  const other = await verify('--golden', swapped, '--backend', 'clear')
  t.equal(other.code, 1)
  t.match(other.stdout.toString(), 'The verification FAILED.')
})

t.test('golden files that do not fit', async (t) => {
  const flags = ['--backend', 'clear', '--json', '--quiet']
  failed(t, await verify(...goldenOf('micro_t'), ...flags), 3, 'TENSOR_SHAPE', { tensor: 'input' })
  failed(t, await verify('--golden', path, ...flags), 3, 'CHECKPOINT_UNREADABLE')
  failed(t, await verify('--golden', join(directory, 'absent'), ...flags), 3, 'CHECKPOINT_UNREADABLE')
  const { shape, data } = (await goldenTensors('one_shot')).get('input')!
  const bare = join(directory, 'bare')
  writeFileSync(bare, safetensors({ input: { shape, data } }))
  failed(t, await verify('--golden', bare, ...flags), 3, 'TENSOR_MISSING', { tensor: 'logits' })
})

/** The golden file with some images multiplied, by their place. */
async function stretchedGolden(factors: Readonly<Record<number, number>>): Promise<string> {
  const tensors = await goldenTensors('one_shot')
  const { shape, data } = tensors.get('input')!
  const size = data.length / shape[0]
  const stretched = data.map((x, i) => x * (factors[Math.floor(i / size)] ?? 1))
  const file = join(directory, 'stretched')
  writeFileSync(file, safetensors({ input: { shape, data: stretched }, logits: tensors.get('logits')! }))
  return file
}

t.test('images that leave the range are named and counted, and the others compared', async (t) => {
  // One is beyond the input's bound; one is within it, but its logits leave theirs, which is lowered for
  // that.
  const circuit = readCircuit(new Uint8Array(readFileSync(refreshed)))
  const narrow = join(directory, 'narrow.pvc')
  writeFileSync(narrow, writeCircuit({ ...circuit, output: { ...circuit.output, bound: 0.7 } }))
  const image = item((await goldenTensors('one_shot')).get('input')!, 1).data
  const [far, wild] = [0, 1]
  const golden = await stretchedGolden({ [far]: 3, [wild]: factorWithin(image, circuit.input.bound) })
  const left = [far, wild]
  for (const backend of ['clear', 'simd']) {
    const { code, json, stderr } = await polyveil([
      ...['verify', narrow, '--golden', golden, '--backend', backend],
      ...['--json', '--quiet'],
    ])
    t.equal(code, 1, stderr)
    t.match(json, { ok: false, images: 4, top1Agreement: 1 }, backend)
    t.strictSame(json.outOfRange, left)
    t.ok(json.rmsError <= json.allowedRmsError, 'the others are as they should be')
  }
  const text = await polyveil(['verify', narrow, '--golden', golden, '--backend', 'clear'])
  t.equal(text.code, 1)
  t.match(
    text.stdout.toString(),
    new RegExp(
      `\n2 of 4 images leave the range .*\\(counted from 0\\): ${left.join(', ')}\\. Are they preprocessed`,
    ),
  )
})

t.test('where every image leaves the range there is nothing to compare', async (t) => {
  const golden = await stretchedGolden({ 0: 3, 1: 3, 2: 3, 3: 3 })
  const { code, json } = await verify('--golden', golden, '--backend', 'clear', '--json')
  t.equal(code, 1)
  t.match(json, {
    ok: false,
    outOfRange: [0, 1, 2, 3],
    maxAbsError: null,
    rmsError: null,
    top1Agreement: null,
  })
  const { stdout } = await verify('--golden', golden, '--backend', 'clear')
  t.match(stdout.toString(), /^clear: 4 images, none of which stays within the range\n4 of 4 images leave/)
})

t.test('what no engine has the memory for is refused before anything is made', async (t) => {
  const circuit = readCircuit(new Uint8Array(readFileSync(path)))
  const file = join(directory, 'large.pvc')
  const steps = Array.from({ length: 3000 }, (_, i) => i + 1)
  const large = rotatedSum(circuit, steps)
  const stated = { ...large, estimate: { ...circuit.estimate, memoryBytes: 2 ** 33 } }
  writeFileSync(file, writeCircuit(stated))
  const shown = await polyveil(['inspect', file])
  t.match(shown.stdout, /would need [\d.]+ GB more memory than kernels reach: it cannot be executed/)

  // A file may state less than it needs, or more.
  const little = { ...circuit, estimate: { ...circuit.estimate, memoryBytes: 2 ** 33 } }
  writeFileSync(file, writeCircuit(little))
  t.equal((await polyveil(['verify', file, ...goldenOf('one_shot'), '--backend', 'clear', '--json'])).code, 0)
  writeFileSync(file, writeCircuit(large))
  for (const [backend, what] of [
    ['simd', 'of the memory that kernels reach, which has 4.29 GB'],
    ['seal', 'of keys, and a verification has room for 4.29 GB'],
  ]) {
    const refused = await polyveil([
      'verify',
      file,
      ...goldenOf('one_shot'),
      '--backend',
      backend,
      '--json',
      '--quiet',
    ])
    failed(t, refused, 3, 'TOO_LARGE', { limitBytes: 2 ** 32 - 65536 })
    t.match(refused.json.error.message, new RegExp(`takes [\\d.]+ GB ${what} at most`))
  }
  // 100,000 vectors at once, of a few hundred steps.
  writeFileSync(
    file,
    writeCircuit(
      rotatedSum(
        circuit,
        Array.from({ length: 100_000 }, (_, i) => 1 + (i % 300)),
      ),
    ),
  )
  const clear = await polyveil([
    'verify',
    file,
    ...goldenOf('one_shot'),
    '--backend',
    'clear',
    '--json',
    '--quiet',
  ])
  failed(t, clear, 3, 'TOO_LARGE', { limitBytes: 2 ** 32 })
  t.match(clear.json.error.message, /GB of plain values at once, and a verification has room for 4.29 GB/)
})

/** A circuit that rotates its input by each of the steps, and only then adds all of it up. */
function rotatedSum(circuit: Circuit, steps: readonly number[]): Circuit {
  const { level, scale } = circuit.input
  const at = { layer: 0, level, scale }
  const ops: Op[] = [{ kind: 'input', index: 0, ...at }]
  for (const step of steps) ops.push({ kind: 'rotate', source: 0, steps: step, ...at })
  let sum = 1
  for (let value = 2; value <= steps.length; value++) {
    ops.push({ kind: 'add', left: sum, right: value, ...at })
    sum = ops.length - 1
  }
  const output = { ...circuit.output, level, scale }
  return { ...circuit, ops, result: sum, output, constants: [], refresh: undefined }
}
