import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { circuitDigest, circuitText, manifestOf, readCircuit } from '../../src/circuit/index.ts'
import { MAX_LOG_QP } from '../../src/circuit/parameters/parameters.ts'
import { failed, filesIn, goldenOf, polyveil, sourceOf } from './support.ts'

// The planner's tests cover rotations and rings. These tests cover what users see.

const directory = t.testdir()
const path = join(directory, 'one.pvc')
const compile = (...flags: string[]) =>
  polyveil(['compile', ...sourceOf('one_shot'), '--refresh', 'never', ...flags])
const compiled = await compile('--out', path, '--json')
const read = () => readCircuit(new Uint8Array(readFileSync(path)))

t.test('compile writes the circuit and prints the plan', async (t) => {
  t.equal(compiled.code, 0)
  const { circuit, parameters, segments, estimate } = compiled.json
  t.equal(circuit.digest, circuitDigest(new Uint8Array(readFileSync(path))))
  t.equal(circuit.ops.rotate, circuit.rotations)
  const { ops, model } = read()
  const total = Object.values<number>(circuit.ops).reduce((sum, count) => sum + count, 0)
  t.equal(total, ops.length, 'operations are counted by kind')
  t.equal(model, 'one')
  t.ok(circuit.galoisKeys > 0 && circuit.depthBits > 100)
  t.equal(parameters.security, 128)
  t.ok(parameters.logQP <= MAX_LOG_QP[parameters.ring])
  const lacking = parameters.primeBits.reduce((a: number, b: number) => a + b) - parameters.logQP
  t.ok(lacking >= 0 && lacking < parameters.primeBits.length, 'a prime of b bits is above 2^(b - 1)')
  t.equal(segments, 1)
  t.ok(estimate.seconds > 0 && estimate.memoryBytes > 0 && estimate.precisionBits >= 10)
  for (const what of ['keys', 'query', 'response']) t.ok(estimate.bytes[what] > 0, `bytes of ${what}`)
  t.strictSame(filesIn(directory), ['one.pvc'], 'no temporary file is left')
})

t.test('a dry run prints the same plan and writes nothing', async (t) => {
  const empty = t.testdir()
  const dry = await compile('--out', join(empty, 'one.pvc'), '--dry-run', '--json', '--quiet')
  t.equal(dry.code, 0)
  t.equal(dry.stderr, '')
  t.strictSame(dry.json, compiled.json)
  t.strictSame(filesIn(empty), [])
  const shown = await compile('--dry-run')
  t.match(shown.stdout.toString(), /^layer +shape +level/)
  t.match(shown.stdout.toString(), 'Nothing was written.')
})

t.test('compile takes a name, labels and calibration images', async (t) => {
  const folder = t.testdir({ labels: Array.from({ length: 10 }, (_, k) => `class ${k}\n`).join('') })
  const out = join(folder, 'named.pvc')
  const calibration = goldenOf('one_shot')[1]
  const flags = ['--name', 'other', '--labels', join(folder, 'labels'), '--calibrate', calibration]
  const { code, json } = await compile('--out', out, ...flags, '--json')
  t.equal(code, 0)
  const circuit = readCircuit(new Uint8Array(readFileSync(out)))
  t.equal(circuit.model, 'other')
  t.strictSame(
    circuit.labels,
    Array.from({ length: 10 }, (_, k) => `class ${k}`),
  )
  t.not(json.circuit.digest, compiled.json.circuit.digest)
  writeFileSync(join(folder, 'labels'), '["only one"]')
  failed(t, await compile('--dry-run', ...flags, '--json', '--quiet'), 3, 'CONFIG_INVALID', {
    labels: 1,
    classes: 10,
  })
})

t.test('a fault of the labels or of the preprocessing is told of their file', async (t) => {
  const names = Array.from({ length: 10 }, (_, k) => (k === 1 ? 'x'.repeat(257) : `class ${k}`))
  const folder = t.testdir({
    'labels.txt': names.join('\r\n\r\n'),
    'labels.json': JSON.stringify(names),
    'how.json': '{"mean":[1]}',
  })
  const told = async (message: RegExp, ...flags: string[]) => {
    const ran = await compile('--dry-run', ...flags, '--json', '--quiet')
    failed(t, ran, 3, 'CONFIG_INVALID')
    t.match(ran.json.error.message, message)
  }
  const long = 'the name has 257 characters, more than 256$'
  await told(new RegExp(`labels\\.txt, line 3: ${long}`), '--labels', join(folder, 'labels.txt'))
  const item = new RegExp(`labels\\.json, item 2 of the array: ${long}`)
  await told(item, '--labels', join(folder, 'labels.json'))
  const how = ['--preprocessing', join(folder, 'how.json')]
  await told(/^The preprocessing .*how\.json: .*preprocessing\.resize/, ...how)
})

t.test('a network that does not fit one shot is DEPTH_EXCEEDED, exit code 4', async (t) => {
  const folder = t.testdir({ 'deep.pvc': 'an earlier circuit' })
  const out = join(folder, 'deep.pvc')
  const ran = await polyveil([
    'compile',
    ...sourceOf('micro_t'),
    '--refresh',
    'never',
    '--out',
    out,
    '--force',
    '--json',
    '--quiet',
  ])
  failed(t, ran, 4, 'DEPTH_EXCEEDED')
  const { facts, message } = ran.json.error
  t.ok(facts.missingBits > 0)
  t.equal(facts.neededBits - facts.limitBits, facts.missingBits)
  t.match(facts.layer, /^cells\./)
  t.match(message, /What would help/)
  t.equal(readFileSync(out, 'utf8'), 'an earlier circuit', 'the file is unchanged')
  t.strictSame(filesIn(folder), ['deep.pvc'])
  const small = await compile('--ring', '8192', '--refresh', 'never', '--dry-run', '--json', '--quiet')
  failed(t, small, 4, 'DEPTH_EXCEEDED', { ring: 8192 })
})

t.test('a network that does not fit one shot gets refreshes, unless --refresh never', async (t) => {
  const { code, json } = await compile(
    ...['--refresh', 'auto', '--ring', '8192', '--dry-run', '--json', '--quiet'],
  )
  t.equal(code, 0)
  t.ok(json.segments > 2, `${json.segments} segments`)
  t.ok(json.estimate.bytes.refreshUp > 0 && json.estimate.bytes.refreshDown > 0)
  t.ok(json.circuit.ops.refresh >= json.segments - 1)
})

t.test('a failed write leaves no file', async (t) => {
  const folder = t.testdir({ taken: {} })
  failed(t, await compile('--out', join(folder, 'none', 'one.pvc'), '--json', '--quiet'), 3, 'CONFIG_INVALID')
  failed(t, await compile('--out', join(folder, 'taken'), '--json', '--quiet'), 3, 'CONFIG_INVALID')
  t.strictSame(filesIn(folder), [])
})

t.test('inspect shows the plan, or the circuit as text', async (t) => {
  const { code, json } = await polyveil(['inspect', path, '--json'])
  t.equal(code, 0)
  t.equal(json.model, 'one')
  t.equal(json.digest, compiled.json.circuit.digest)
  t.equal(json.manifest, manifestOf(read()).digest)
  t.equal(json.plan.rotations, compiled.json.circuit.rotations)
  for (const layer of json.plan.layers) {
    t.match(
      layer,
      { name: String, shape: Array, level: Number, rotations: Number, seconds: Number },
      layer.name,
    )
    t.ok(layer.precisionBits > 4, layer.name)
  }
  const rotations = json.plan.layers.reduce(
    (sum: number, layer: { rotations: number }) => sum + layer.rotations,
    0,
  )
  t.equal(rotations, json.plan.rotations, 'the rotations of layers add up')
  t.equal(json.plan.seconds, compiled.json.estimate.seconds, 'inspect uses the speeds of the plan')
  const seconds = json.plan.layers.reduce((sum: number, layer: { seconds: number }) => sum + layer.seconds, 0)
  t.ok(Math.abs(seconds - json.plan.seconds) <= 1e-9 * seconds, 'the seconds of layers add up')

  const shown = await polyveil(['inspect', path])
  t.match(shown.stdout.toString(), /^one, circuit [0-9a-f]{16}\n\nlayer /)
  const text = await polyveil(['inspect', path, '--text'])
  t.equal(text.code, 0)
  t.equal(text.stdout.toString().trimEnd(), circuitText(read()).trimEnd())
  const both = await polyveil(['inspect', path, '--text', '--json'])
  t.equal(both.json.text, circuitText(read()))
})

t.test('--input and --classes replace what the config says', async (t) => {
  const dry = (...flags: string[]) => compile(...flags, '--name', 'one', '--dry-run', '--json', '--quiet')
  t.strictSame((await dry('--input', '40', '--classes', '10')).json, compiled.json)
  failed(t, await dry('--input', '64'), 3, 'TENSOR_SHAPE')
  failed(t, await dry('--classes', '11'), 3, 'TENSOR_SHAPE', { tensor: 'head.3.weight' })
})

t.test('the plan states the way that it does not take, and the flag that takes it', async (t) => {
  const flags = ['--name', 'one', '--dry-run', '--speeds', 'reference', '--quiet']
  const source = ['compile', ...sourceOf('one_shot'), ...flags]
  const auto = await polyveil([...source, '--json'])
  t.ok(auto.json.segments > 1)
  t.match(auto.json.otherWay, { refreshes: false, ring: 16384, refreshSeconds: 0 })
  const shown = (await polyveil(source)).stdout.toString()
  t.match(
    shown,
    /\none shot \(--refresh never\) would take about \d\.\d+ s on one core, keys of [\d.]+ MB once, and \d+ kB for each query, in ring 16384\n/,
  )
  const offline = 'the client may be offline between one query and one answer'
  t.match(shown, `\nwith --offline-client ${offline}: the plan is then one shot\n`)
  const deep = (await polyveil([...source, '--ring', '8192'])).stdout.toString()
  t.match(deep, `\nwith --offline-client ${offline}: the server restores levels in ring 32768 or 65536`)
  const client = (await polyveil([...source, '--refresh', 'client'])).stdout.toString()
  t.match(client, `\nwith --refresh server ${offline}: the server restores levels`)
  const never = await polyveil([...source, '--json', '--refresh', 'never'])
  t.equal(never.json.segments, 1)
  t.notOk('otherWay' in never.json)
  const traffic = (await polyveil([...source, '--objective', 'traffic'])).stdout.toString()
  t.match(
    traffic,
    /\nrefreshes \(--refresh client\) would take about \d\.\d+ s on one core and \d\.\d+ s for rounds, keys of [\d.]+ MB once, /,
  )
  t.notMatch(traffic, '--offline-client', 'in one shot the client is offline anyway')
})

t.test('--refresh server: plans that no server can restore are refused with a remedy', async (t) => {
  const refused = async (
    code: string,
    exitCode: number,
    message: RegExp,
    remedy: RegExp,
    ...flags: string[]
  ) => {
    const source = ['compile', ...sourceOf('one_shot'), '--refresh', 'server', '--speeds', 'reference']
    const ran = await polyveil([...source, '--dry-run', '--json', '--quiet', ...flags])
    failed(t, ran, exitCode, code)
    t.match(ran.json.error.message, message)
    t.match(ran.json.error.remedy, remedy)
  }
  const byClient = /--refresh client/
  await refused(
    'CONFIG_INVALID',
    3,
    /one image in a ciphertext, and not of a batch of 2/,
    byClient,
    '--batch',
    '2',
  )
  await refused(
    'CONFIG_INVALID',
    3,
    /in the rings 32768 and 65536, and not in 8192/,
    byClient,
    '--ring',
    '8192',
  )
  await refused('CONFIG_INVALID', 3, /engine seal cannot restore levels/, /--target simd/, '--target', 'seal')
  const precise = ['--ring', '32768', '--precision', '30']
  const help =
    /keeps 30 bits of precision; the best keeps \d+\.\d\. What would help: a lower --precision, .*--refresh$/
  await refused('DEPTH_EXCEEDED', 4, help, /fewer bits of precision/, ...precise)
})

t.test('--offline-client: one shot, or levels that the server restores, or a clear refusal', async (t) => {
  const offline = (name: string, ...flags: string[]) =>
    polyveil([
      ...['compile', ...sourceOf(name), '--name', 'x', '--offline-client', '--speeds', 'reference'],
      ...['--precision', '8', '--dry-run', '--quiet', ...flags],
    ])
  const shallow = await offline('one_shot')
  t.equal(shallow.code, 0, shallow.stderr)
  const shown = shallow.stdout.toString()
  t.match(shown, /depth, one shot\n.*- one shot is taken, because it fits/s)
  t.notMatch(shown, 'would take', 'there is no other way')
  const deep = await offline('micro_t', '--ring', '32768')
  t.equal(deep.code, 0, deep.stderr)
  t.match(
    deep.stdout.toString(),
    /restored at the server.*- the server restores levels: the client may be offline/s,
  )
  t.notMatch(deep.stdout.toString(), '\nwith --', 'the client is offline already')
  const both = await offline('one_shot', '--refresh', 'client', '--json')
  failed(t, both, 3, 'CONFIG_INVALID', { refresh: 'client', offlineClient: true })
  t.match(both.json.error.remedy, /Leave out --refresh client.*Or leave out --offline-client/)
  const seal = await offline('micro_t', '--target', 'seal', '--json')
  failed(t, seal, 4, 'DEPTH_EXCEEDED')
  t.match(seal.json.error.remedy, /seal cannot restore levels at the server.*--target simd/)
})
