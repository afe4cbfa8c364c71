import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import t from 'tap'
import { readCircuit, writeCircuit } from '../../src/circuit/index.ts'
import { imageTensor } from '../../src/client/index.ts'
import { loadNetwork, parseConfig, readCheckpoint, referenceForward } from '../../src/models/index.ts'
import { networkInput } from '../../src/preprocessing/index.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { startService } from './service.ts'
import { failed, filesIn, polyveil, type Ran, sourceOf, zooPath } from './support.ts'

// Accuracy of the digits network on its bundled images, one of them with a wrong label and one dark on light,
// which no label can be trusted for.

const QUIET = ['--json', '--quiet']
const directory = t.testdir()
const models = join(directory, 'models')
await writeDigitsOfFewKeys(models)
const circuit = ['--circuit', join(models, 'digits.pvc')]
const checkpoint = ['--checkpoint', zooPath('digits/network.pt'), '--config', zooPath('digits/network.json')]
const folder = join(directory, 'images')
const digit = (k: number): string => zooPath(`digits/images/digits-${k}-0.png`)
const WRONG = '3/wrong.png'
const DARK = '6/dark-on-light.png'
for (let k = 0; k < 10; k++) {
  mkdirSync(join(folder, String(k)), { recursive: true })
  copyFileSync(digit(k), join(folder, String(k), 'digit.png'))
}
copyFileSync(digit(8), join(folder, WRONG))
await sharp(digit(6)).negate({ alpha: false }).toFile(join(folder, DARK))
const FILES = filesIn(folder)
const LABELS = [...'0123456789']

const accuracy = (...args: string[]): Promise<Ran> => polyveil(['accuracy', ...args])

/** Logits of the reference, computed without the command. */
async function referenceLogits(file: string): Promise<Float64Array> {
  const config = parseConfig(readFileSync(zooPath('digits/network.json'), 'utf8'))
  const network = loadNetwork(await readCheckpoint(zooPath('digits/network.pt')), config)
  const { input } = readCircuit(new Uint8Array(readFileSync(circuit[1])))
  const { tensor, shape } = await imageTensor(readFileSync(join(folder, file)), input)
  return referenceForward(network, networkInput({ tensor, shape }))
}

const bestOf = (logits: Float64Array): number => logits.indexOf(Math.max(...logits))

/** Lines of a CSV file without quotes, without the heading. */
const rowsOf = (path: string): string[][] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\r\n')
    .slice(1)
    .map((line) => line.split(','))

t.test('a folder is measured in the clear and under encryption on this machine', async (t) => {
  const csv = join(directory, 'answers.csv')
  const { code, json, stderr } = await accuracy(
    folder,
    ...circuit,
    '--encrypted',
    'all',
    '--csv',
    csv,
    ...QUIET,
  )
  t.equal(code, 0, stderr)
  t.match(json, { model: 'digits', images: 12, filesWithoutClass: 0, unreadable: [], topK: 5, minimum: null })
  const expected = {
    images: 12,
    // From the formula of Wilson for 10 of 12.
    top1: { count: 10, value: 10 / 12 },
    topK: { count: 11 },
    outOfRange: 1,
    confusions: [
      { truth: '3', answer: '8', images: 1 },
      { truth: '6', answer: null, images: 1 },
    ],
  }
  t.match(json.clear, { by: 'circuit', ...expected })
  t.match(json.encrypted, { by: 'simd', ...expected })
  t.ok(Math.abs(json.encrypted.top1.low - 0.552) < 5e-4 && Math.abs(json.encrypted.top1.high - 0.953) < 5e-4)
  t.ok(json.encrypted.secondsPerImage > 0.01)
  t.strictSame(json.classes[3], {
    index: 3,
    label: '3',
    clear: { images: 2, correct: 1 },
    encrypted: { images: 2, correct: 1 },
  })
  t.match(json.agreement, { images: 12, sameLabel: 11 })
  t.ok(json.agreement.maxAbsError > 1e-7 && json.agreement.maxAbsError < 0.1, 'encrypted, and close')
  t.ok(json.agreement.rmsError > 0 && json.agreement.rmsError < json.agreement.maxAbsError)

  const rows = rowsOf(csv)
  t.strictSame(
    rows.map(([file]) => file),
    FILES,
  )
  for (const [file, label, clear, clearScore, encrypted, score] of rows) {
    t.equal(label, file[0])
    if (file === DARK) {
      t.strictSame(
        [clear, clearScore, encrypted, score],
        ['TENSOR_OUT_OF_RANGE', '', 'TENSOR_OUT_OF_RANGE', ''],
      )
      continue
    }
    const logits = await referenceLogits(file)
    const best = bestOf(logits)
    const softmax = 1 / logits.reduce((sum, logit) => sum + Math.exp(logit - logits[best]), 0)
    t.strictSame([clear, encrypted], [LABELS[best], LABELS[best]], file)
    t.ok(Math.abs(Number(clearScore) - softmax) < 1e-4, `${file}: ${clearScore} in the clear, ${softmax}`)
    t.ok(Math.abs(Number(score) - softmax) < 0.02, `${file}: ${score} encrypted, ${softmax}`)
  }
})

t.test('a checkpoint computes in the clear; a part is encrypted; the minimum is checked', async (t) => {
  const csv = join(directory, 'part.csv')
  const flags = [...circuit, ...checkpoint, '--encrypted', '3', '--csv', csv, '--top', '1']
  const { code, stdout, stderr } = await accuracy(folder, ...flags, '--minimum', '1')
  const text = stdout.toString()
  t.equal(code, 0, stderr)
  t.match(
    text,
    /^12 images of 10 classes\nencrypted: 3 of them, evenly spread; --encrypted chooses how many\n/,
  )
  t.match(
    text,
    /\nin the clear \(checkpoint\) +12 +\d+\.\d % .* 0\n/,
    'a floating-point network has no range',
  )
  t.match(text, /\nencrypted \(simd\) +3 +100\.0 % +43\.\d % to 100\.0 % +0\n/)
  t.match(text, /\nsame label in the clear and encrypted: 3 of 3 images; largest difference of a logit \d/)
  t.match(text, /\nan encrypted image takes \d+\.\d+ s\n/)
  t.match(text, /\n3 +0 +0 +0 +1 +0 +0 +0 +0 +1 +0\n/, 'the line of class 3 in the matrix')
  t.match(text, /\nThe accuracy under encryption is at least 1\.\n$/)
  t.match(stderr, /encrypted: image 3 of 3\n/)
  const [clear, encrypted] = [2, 4].map((column) => rowsOf(csv).map((row) => row[column]))
  const reference = await Promise.all(FILES.map(async (file) => LABELS[bestOf(await referenceLogits(file))]))
  t.strictSame(clear, reference)
  const chosen = [2, 6, 10]
  t.strictSame(
    encrypted,
    FILES.map((_, k) => (chosen.includes(k) ? reference[k] : '')),
  )
})

t.test('a list gives other labels; an accuracy below the minimum has exit code 1', async (t) => {
  const list = join(directory, 'labels.csv')
  writeFileSync(list, 'label,file\r\n4,4/digit.png\r\n"5",5/digit.png\r\n7,"1/digit.png"\r\n')
  const flags = [...circuit, ...checkpoint, '--labels', list, '--encrypted', '2', ...QUIET]
  const { code, json } = await accuracy(folder, ...flags, '--minimum', '0.75')
  t.equal(code, 1)
  // The first and the last of three.
  t.match(json.encrypted, {
    images: 2,
    top1: { count: 1, value: 0.5 },
    confusions: [{ truth: '7', answer: '1' }],
  })
  t.match(json.clear, { by: 'checkpoint', images: 3, top1: { count: 2 } })
  t.strictSame(json.minimum, { accuracy: 0.75, holds: false })
  const text = (await accuracy(folder, ...flags.slice(0, -2), '--minimum', '0.75')).stdout.toString()
  t.match(text, /\nThe accuracy under encryption is LOWER than 0\.75\.\n$/)
})

t.test('images that cannot be read are refused by name, or left out and counted', async (t) => {
  const spoilt = t.testdir({ 4: {}, 5: {}, '.cache': { x: '' }, 'notes.txt': '' })
  copyFileSync(digit(4), join(spoilt, '4', 'good.png'))
  writeFileSync(join(spoilt, '4', 'text.png'), 'no image')
  writeFileSync(join(spoilt, '5', 'cut.png'), readFileSync(digit(5)).subarray(0, 150))
  const flags = [...circuit, ...checkpoint]
  const refused = await accuracy(spoilt, ...flags, ...QUIET)
  failed(t, refused, 3, 'IMAGE_UNREADABLE', { file: join(spoilt, '4', 'text.png') })

  const csv = join(spoilt, 'answers.csv')
  const skipping = [...flags, '--encrypted', '0', '--skip-unreadable']
  const { code, json } = await accuracy(spoilt, ...skipping, '--csv', csv, ...QUIET)
  t.equal(code, 0)
  t.match(json, {
    images: 3,
    filesWithoutClass: 1,
    clear: { images: 1, top1: { count: 1 } },
    encrypted: null,
  })
  t.match(json.unreadable, [
    { file: join('4', 'text.png'), code: 'IMAGE_UNREADABLE' },
    { file: join('5', 'cut.png'), code: 'IMAGE_UNREADABLE' },
  ])
  t.strictSame(
    rowsOf(csv).map((row) => [row[0], row[2]]),
    [
      ['4/good.png', '4'],
      ['4/text.png', 'IMAGE_UNREADABLE'],
      ['5/cut.png', 'IMAGE_UNREADABLE'],
    ],
  )
  const part = await accuracy(spoilt, ...flags, '--encrypted', '1', '--skip-unreadable', ...QUIET)
  t.match(part.json.encrypted, { images: 1 }, 'an image that can be read takes the place')
  const { stdout } = await accuracy(spoilt, ...skipping)
  t.match(stdout.toString(), /^3 images of 10 classes\n2 images left out, which cannot be read\n/)

  const list = join(spoilt, 'labels.csv')
  writeFileSync(list, 'missing.png,4\n5/cut.png,5\n')
  const none = await accuracy(spoilt, ...skipping, '--labels', list, ...QUIET)
  failed(t, none, 3, 'IMAGE_UNREADABLE')
  t.match(
    none.json.error.message,
    /None of the images can be read; the first error: .*missing\.png does not exist/,
  )
})

t.test('wrong usage and wrong inputs are refused before anything is computed', async (t) => {
  const usage: [args: string[], message: RegExp][] = [
    [[], /Either --circuit FILE\.pvc, or --url URL and --model NAME/],
    [['--url', 'http://localhost'], /--url and --model go together/],
    [[...circuit, '--model', 'digits'], /--url and --model go together/],
    [[...circuit, '--config', 'x.json'], /--config goes with --checkpoint/],
    [[...circuit, '--keys', 'keys'], /--keys goes with --url/],
    [[...circuit, '--encrypted', '0', '--minimum', '0.9'], /--minimum needs encrypted images/],
    [['--url', 'http://localhost', '--model', 'm', '--encrypted', '0'], /a --circuit or a --checkpoint/],
    [[...circuit, '--encrypted', 'some'], /a whole number, or all/],
    [[...circuit, '--minimum', '95'], /a fraction from 0 to 1/],
    [[...circuit, '--checkpoint', checkpoint[1]], /Exactly one of --arch NAME and --config FILE/],
  ]
  for (const [args, message] of usage) {
    const ran = await accuracy(folder, ...args, ...QUIET)
    failed(t, ran, 2, 'CONFIG_INVALID')
    t.match(ran.json.error.message, message)
  }
  const bad = async (code: string, message: RegExp, ...args: string[]): Promise<void> => {
    const ran = await accuracy(...args, ...QUIET)
    failed(t, ran, 3, code)
    t.match(ran.json.error.message, message)
  }
  const unknown = t.testdir({ bird: { 'a.png': '' } })
  await bad('CONFIG_INVALID', /bird: The model has no class "bird"/, unknown, ...circuit)
  await bad('CONFIG_INVALID', /no subfolder with an image/, t.testdir({ 3: {} }), ...circuit)
  const place = join(directory, 'missing', 'x.csv')
  await bad('CONFIG_INVALID', /x\.csv cannot be written/, folder, ...circuit, '--csv', place)
  const [path, ...config] = sourceOf('one_shot')
  const other = [...circuit, '--checkpoint', path, ...config]
  await bad(
    'CONFIG_INVALID',
    /network takes 40x40 and has 10 classes; the model takes 56x56/,
    folder,
    ...other,
  )
})

t.test('a service classifies the encrypted images', async (t) => {
  // Two images share the ciphertexts of this model. Its bound on logits is below those of one image.
  const two = join(models, 'two.pvc')
  const small = ['--preprocessing', 'imagenet', '--refresh', 'client', '--ring', '8192', '--batch', '2']
  t.equal((await polyveil(['compile', ...sourceOf('one_shot'), ...small, '--out', two, ...QUIET])).code, 0)
  const pair = t.testdir({ 0: {}, 1: {} })
  for (const k of [0, 1, 2, 3]) copyFileSync(digit(k), join(pair, String(k % 2), `${k}.png`))
  const wide = readCircuit(new Uint8Array(readFileSync(two)))
  const peaks: number[] = []
  const [weights, , config] = sourceOf('one_shot')
  const network = loadNetwork(
    await readCheckpoint(weights),
    parseConfig(JSON.parse(readFileSync(config, 'utf8'))),
  )
  for (const k of [0, 2, 1, 3]) {
    const image = await imageTensor(readFileSync(digit(k)), wide.input)
    peaks.push(Math.max(...referenceForward(network, networkInput(image)).map(Math.abs)))
  }
  const [most, second] = peaks.toSorted((a, b) => b - a)
  writeFileSync(two, writeCircuit({ ...wide, output: { ...wide.output, bound: (most + second) / 2 } }))

  const data = join(directory, 'data')
  const service = await startService(data, '--models', models)
  t.teardown(() => service.stop())
  const on = (model: string): string[] => ['--url', service.url, '--model', model]

  await t.test('with the circuit for the answers in the clear', async (t) => {
    const flags = [...on('digits'), ...circuit, '--encrypted', '4']
    const kept = filesIn(data)
    const { code, json, stderr } = await accuracy(folder, ...flags, '--json')
    t.equal(code, 0, stderr)
    t.match(json.clear, { by: 'circuit', images: 12, top1: { count: 10 } })
    // The four are a 1, the wrong one, the dark one and an 8.
    t.match(json.encrypted, { by: 'service', images: 4, outOfRange: 1, top1: { count: 2 } })
    t.match(json.agreement, { images: 4, sameLabel: 3 })
    t.ok(json.agreement.maxAbsError > 1e-7 && json.agreement.maxAbsError < 0.1)
    t.match(stderr, /making and uploading keys\n[\s\S]*image 4 of 4: waiting for the server/)
    t.strictSame(filesIn(data), kept, 'throw-away keys are deleted')
  })

  await t.test('and without it, only what is encrypted is looked at', async (t) => {
    const { json } = await accuracy(folder, ...on('digits'), '--encrypted', '3', ...QUIET)
    t.match(json, { images: 12, clear: null, agreement: null, encrypted: { images: 3, top1: { count: 3 } } })
    t.strictSame(json.classes[0], { index: 0, label: '0', encrypted: { images: 0, correct: 0 } })
  })

  await t.test('images that share a batch with one that leaves the range have no answer', async (t) => {
    const here = (await accuracy(pair, '--circuit', two, ...QUIET)).json
    t.match(here, { clear: { outOfRange: 1, images: 4 }, encrypted: { outOfRange: 1, images: 4 } })
    const there = (await accuracy(pair, ...on('two'), ...QUIET)).json
    t.match(there, { encrypted: { outOfRange: 2, images: 4 } })
  })

  await t.test('errors of the service end the command', async (t) => {
    failed(t, await accuracy(folder, ...on('faces'), ...QUIET), 3, 'MODEL_UNKNOWN')
    const other = await accuracy(folder, ...on('digits'), '--circuit', two, ...QUIET)
    failed(t, other, 3, 'PARAMETERS_MISMATCH')
    t.match(other.json.error.message, "The server's model digits is another circuit than the file")
  })
})
