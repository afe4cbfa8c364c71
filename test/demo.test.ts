import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { allWell, type Report } from '../scripts/demo/report.ts'
import { requireBuild } from './support/built.ts'

await requireBuild()

async function npm(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const cwd = fileURLToPath(new URL('../', import.meta.url))
  const child = spawn('npm', args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, stdout, stderr }
}

t.test('the demo prints a report of all images with --json', async (t) => {
  const { code, stdout, stderr } = await npm('run', 'demo', '--', '--json')
  t.equal(code, 0, stderr)
  const report: Report = JSON.parse(stdout.trimEnd().split('\n').at(-1)!)
  t.equal(report.ok, true)
  t.strictSame([...new Set(report.images.map(({ model }) => model))].sort(), ['clothing', 'digits'])
  for (const image of report.images) {
    t.test(image.file, async (t) => {
      t.match(image.file, new RegExp(`^${image.model}-.*\\.png$`))
      t.equal(image.predicted, image.clearPredicted)
      t.match(image, { truth: String, predicted: String, rounds: 0 })
      // An error of 0 would mean that nothing was encrypted.
      t.ok(image.maxAbsError > 1e-7 && image.maxAbsError < 1e-2, `error ${image.maxAbsError}`)
      t.ok(image.seconds > 0 && image.seconds < 120, `${image.seconds} s`)
      t.ok(image.uploadBytes > 10_000 && image.downloadBytes > 10_000)
    })
  }
  const right = report.images.filter(({ predicted, truth }) => predicted === truth).length
  t.ok(right >= report.images.length - 1, `${right} of ${report.images.length} are right`)
  t.strictSame(Object.keys(report.keyBytes).sort(), ['clothing', 'digits'])
  t.ok(Object.values(report.keyBytes).every((bytes) => bytes > 1e6 && bytes < 210e6))
  t.ok(report.uploadedKeyBytes <= report.keyBytes.digits + report.keyBytes.clothing)
  t.ok(
    report.serverPeakRssBytes > 1e8 && report.serverPeakRssBytes < 2e9,
    `${report.serverPeakRssBytes} bytes`,
  )
})

t.test('help and unknown flags of the demo are answered before a build', async (t) => {
  const help = await npm('run', '--silent', 'demo', '--', '--help')
  t.equal(help.code, 0)
  t.match(help.stdout, /^Usage: npm run demo[\s\S]*--json[\s\S]*--all/)
  t.equal(help.stderr, '')
  for (const flag of ['--jsom', 'all']) {
    const { code, stdout, stderr } = await npm('run', '--silent', 'demo', '--', flag)
    t.equal(code, 2, flag)
    t.match(stderr, /^demo: .*(--jsom|all)[\s\S]*Usage: npm run demo/)
    t.notMatch(stderr, /\n\s+at /, 'no stack')
    t.equal(stdout, '')
  }
})

t.test('allWell is true only if every answer agrees with that of the clear network', async (t) => {
  const image = {
    model: 'digits',
    file: 'digits-0-0.png',
    truth: '0',
    predicted: '0',
    clearPredicted: '0',
    maxAbsError: 0.001,
    seconds: 1,
    uploadBytes: 1,
    downloadBytes: 1,
    rounds: 0,
  }
  t.equal(allWell([image]), true)
  t.equal(allWell([]), false, 'an empty report is not well')
  t.equal(allWell([image, { ...image, predicted: '8' }]), false)
  t.equal(allWell([image, { ...image, maxAbsError: 0.011 }]), false)
  t.equal(allWell([image, { ...image, maxAbsError: Number.NaN }]), false)
  t.equal(
    allWell([{ ...image, truth: '8' }]),
    true,
    'the network may misclassify an image if both answers agree',
  )
})
