import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { imageAt, parsePixels } from '../../bench/ml-inference/pixels.ts'
import { BUILD, ciphertextFile, INSTANCES, workspace } from '../../bench/ml-inference/workspace.ts'
import { bundledNetworks } from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { requireBuild } from '../support/built.ts'
import { isThorough } from '../support/thorough.ts'

const digits = bundledNetworks().find(({ name }) => name === 'digits')!

/** An image of MNIST as a line of the harness. */
async function lineOf(file: URL): Promise<string> {
  const { data, channels } = await decodeImage(await readFile(file))
  return Array.from({ length: 784 }, (_, i) => (data[i * channels] / 255).toFixed(6)).join(' ')
}

t.test('images are read as the harness writes them', async (t) => {
  const files = digits.images.slice(2, 4).map(({ file }) => file)
  const lines = await Promise.all(files.map(lineOf))
  const bytes = parsePixels(`${lines.join('\n')}\n`)
  t.equal(bytes.length, 2 * 784)
  for (const [i, file] of files.entries()) {
    const { data, channels } = await decodeImage(await readFile(file))
    t.strictSame(
      [...imageAt(bytes, i).data],
      [...data].filter((_, at) => at % channels === 0),
    )
  }
  for (const wrong of ['0.5 0.5', lines[0].replace('0.000000', '1.5'), lines[0].replace('0.000000', 'x')]) {
    t.throws(() => parsePixels(`${lines[0]}\n${wrong}`), /Line 2 is no image of 784 numbers/)
  }
})

t.test('places are those of the harness', async (t) => {
  const space = workspace('/h', 2)
  t.match(space, { images: 1000, batch: 8, publicKeys: '/h/io/medium/public_keys' })
  t.equal(space.pixels, '/h/datasets/medium/intermediate/test_pixels.txt')
  t.equal(space.predictions, '/h/io/medium/encrypted_model_predictions.txt')
  t.equal(ciphertextFile(space.upload, 12), '/h/io/medium/ciphertexts_upload/00012.bin')
  t.equal(workspace('/h', 0).batch, 1)
  t.throws(() => workspace('/h', INSTANCES.length), RangeError)
})

t.test('the stages run in a folder of the harness', { skip: !isThorough && 'slow' }, async (t) => {
  await requireBuild()
  const root = t.testdir({ harness: { 'run_submission.py': '' } })
  const run = promisify(execFile)
  const install = fileURLToPath(new URL('../../bench/ml-inference/install.ts', import.meta.url))
  await run(process.execPath, [install, root])
  // What the harness calls first, in its order; its own script would build OpenFHE.
  for (const script of ['get_openfhe.sh', 'build_task.sh'])
    await run(join(root, 'scripts', script), ['./submission'], { cwd: root })
  const space = workspace(root, 0)
  const { file, truth } = digits.images[6]
  await mkdir(join(space.pixels, '..'), { recursive: true })
  await writeFile(space.pixels, `${await lineOf(file)}\n`)
  // The order and the arguments of the harness.
  const stages = [
    ['client_key_generation', '0'],
    ['server_preprocess_model'],
    ['client_preprocess_input', '0'],
    ['client_encode_encrypt_input', '0'],
    ['server_encrypted_compute', '0'],
    ['client_decrypt_decode', '0'],
    ['client_postprocess', '0'],
  ]
  for (const [name, ...size] of stages) await run(join(root, BUILD, name), size, { cwd: root })
  t.equal(await readFile(space.predictions, 'utf8'), `${truth}\n`)
  t.strictSame(await readdir(space.publicKeys), ['keys.bin'], 'no secret key among the public ones')
})
