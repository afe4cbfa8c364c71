import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { figure, machine } from '../harness.ts'
import { buildSubmission } from './build.ts'
import { STAGES } from './stages.ts'
import { BUILD, INSTANCES, pixelsOf, workspace } from './workspace.ts'

// node bench/ml-inference/run.ts PIXELS LABELS [--sizes 0,1,2] [--source TEXT] [--out FILE]
//
// Runs the stages by themselves, without the harness and its Python, on files of its form: one image, or one
// label, in a line. Each stage is a process, whose time is measured from its start to its end, and sizes are
// those of folders, as the harness has them. Fails unless nine of ten labels are right.

const sizesOf = (text: string): number[] =>
  text.split(',').map((part) => {
    const size = Number(part)
    if (part.trim() === '' || INSTANCES[size] === undefined) {
      throw new Error(
        `--sizes takes numbers from 0 to ${INSTANCES.length - 1} with commas between them, not ${text}`,
      )
    }
    return size
  })

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sizes: { type: 'string', default: '0,1,2' },
    source: { type: 'string', default: 'images of the caller' },
    out: { type: 'string' },
  },
})
const [pixelFile, labelFile] = positionals
if (labelFile === undefined) throw new Error('Name a file of pixels and a file of labels')
const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '')
const pixels = linesOf(await readFile(pixelFile, 'utf8'))
const labels = linesOf(await readFile(labelFile, 'utf8')).map((label) => label.trim())

const LEAST_ACCURACY = 0.9

const sizes = sizesOf(values.sizes)
if (labels.length < pixels.length) {
  throw new Error(`${pixels.length} images have ${labels.length} labels`)
}

const before = machine()
const root = await mkdtemp(join(tmpdir(), 'polyveil-ml-inference-'))
try {
  await buildSubmission(root)
  const instances = []
  for (const size of sizes) instances.push(await runInstance(size))
  const date = new Date().toISOString().slice(0, 10)
  const results = { 'ml-inference': { network: 'digits', images: values.source, instances } }
  const report = { machine: before, date, results }
  const json = `${JSON.stringify(report, null, 2)}\n`
  if (values.out) await writeFile(values.out, json)
  process.stdout.write(json)
} finally {
  await rm(root, { recursive: true, force: true })
}

async function runInstance(size: number): Promise<object> {
  const { name, images } = INSTANCES[size]
  if (pixels.length < images)
    throw new Error(`${pixels.length} images are fewer than the ${images} of ${name}`)
  const space = workspace(root, size)
  await mkdir(dirname(pixelsOf(root, name)), { recursive: true })
  await writeFile(pixelsOf(root, name), pixels.slice(0, images).join('\n'))
  const seconds: Record<string, number> = {}
  for (const stage of Object.keys(STAGES)) {
    console.error(`${name}: ${stage}`)
    const begun = performance.now()
    const { status } = spawnSync(join(root, BUILD, stage), [String(size)], { cwd: root, stdio: 'inherit' })
    if (status !== 0) throw new Error(`${stage} failed`)
    seconds[stage] = figure((performance.now() - begun) / 1000)
  }
  const predictions = linesOf(await readFile(space.predictions, 'utf8'))
  const correct = predictions.filter((label, i) => label === labels[i]).length
  if (predictions.length !== images || correct < LEAST_ACCURACY * images)
    throw new Error(`${correct} of ${images} labels are right`)
  return {
    name,
    images,
    imagesInACiphertext: space.batch,
    seconds,
    secondsPerImage: figure(seconds.server_encrypted_compute / images),
    bytes: {
      keys: await bytesIn(space.publicKeys),
      upload: await bytesIn(space.upload),
      download: await bytesIn(space.download),
    },
    quality: { correct, images, accuracy: figure(correct / images) },
  }
}

async function bytesIn(directory: string): Promise<number> {
  const files = await readdir(directory)
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(directory, file))).size))
  return sizes.reduce((sum, each) => sum + each, 0)
}
