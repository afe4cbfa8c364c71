import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { checkParameters } from '../src/circuit/parameters.ts'
import { argmax } from '../src/cli/comparison.ts'
import { table } from '../src/cli/output/table.ts'
import { connect, memoryKeyStore, type PolyVeil } from '../src/client/index.ts'
import {
  type BundledNetwork,
  bundledNetworks,
  loadNetwork,
  readCheckpoint,
  referenceForward,
} from '../src/models/index.ts'
import { decodeImage } from '../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../src/preprocessing/index.ts'
import { keySetBytes } from '../src/wire/index.ts'
import { buildIfStale } from './building/build.ts'
import { CLI } from './building/paths.ts'

/** Largest error of an encrypted logit. */
const MAX_ERROR = 1e-2
/** Images of each network, unless all are asked for. */
const FEW = 2

interface Classified {
  readonly model: string
  readonly file: string
  readonly truth: string
  readonly predicted: string
  readonly clearPredicted: string
  readonly maxAbsError: number
  readonly seconds: number
  readonly uploadBytes: number
  readonly downloadBytes: number
  readonly rounds: number
}

const { values } = parseArgs({ options: { json: { type: 'boolean' }, all: { type: 'boolean' } } })
const say = (line: string): void => console.error(line)

await buildIfStale(say)
const directory = await mkdtemp(join(tmpdir(), 'polyveil-demo-'))
const server = spawn(process.execPath, [CLI, 'serve', '--port', '0', '--json'], {
  env: { ...process.env, POLYVEIL_DATA_DIR: directory },
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  const url = await addressOf(server)
  say(`server at ${url}`)
  using polyveil = await connect(url, { keys: memoryKeyStore() })
  const images: Classified[] = []
  const keyBytes: Record<string, number> = {}
  let serverPeakRssBytes = 0
  for (const network of bundledNetworks()) {
    const { parameters, galoisElements } = await polyveil.manifest(network.name)
    keyBytes[network.name] = keySetBytes(
      checkParameters(parameters),
      [...galoisElements].sort((a, b) => a - b),
    )
    say(`${network.name}: making and uploading ${(keyBytes[network.name] / 1e6).toFixed(0)} MB of keys`)
    await polyveil.keys(network.name)
    for await (const image of classifyAll(polyveil, network)) {
      images.push(image)
      serverPeakRssBytes = Math.max(serverPeakRssBytes, await residentBytes(url))
    }
  }
  const ok = images.every((i) => i.predicted === i.clearPredicted && i.maxAbsError < MAX_ERROR)
  if (!values.json) console.log(summary(images, ok))
  else console.log(JSON.stringify({ ok, images, keyBytes, serverPeakRssBytes }))
  process.exitCode = ok ? 0 : 1
} finally {
  server.kill('SIGTERM')
  if (server.exitCode === null) await once(server, 'exit')
  await rm(directory, { recursive: true, force: true })
}

/** The server says where it listens in the one JSON document that it prints. */
async function addressOf(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! })
  const ended = once(child, 'exit').then(() => {
    throw new Error('The server ended before it listened')
  })
  const [document] = (await Promise.race([once(lines, 'line'), ended])) as [string]
  return (JSON.parse(document) as { url: string }).url
}

/** Each image encrypted, classified by the server, decrypted, and classified in the clear for comparison. */
async function* classifyAll(polyveil: PolyVeil, bundled: BundledNetwork): AsyncGenerator<Classified> {
  const { name, config, checkpoint } = bundled
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const { rounds } = await polyveil.manifest(name)
  const labels = config.labels ?? []
  for (const { file, truth } of values.all ? bundled.images : bundled.images.slice(0, FEW)) {
    const image = preprocess(await decodeImage(await readFile(file)), config.preprocessing)
    const start = performance.now()
    const query = await polyveil.encrypt(name, image)
    const answer = await polyveil.infer(name, query)
    const logits = await polyveil.decrypt(name, answer)
    const seconds = (performance.now() - start) / 1000
    const clear = referenceForward(network, networkInput(image))
    const classified = {
      model: name,
      file: fileURLToPath(file).split(/[\\/]/).at(-1)!,
      truth,
      predicted: labels[argmax(logits)],
      clearPredicted: labels[argmax(clear)],
      maxAbsError: Math.max(...clear.map((value, k) => Math.abs(value - logits[k]))),
      seconds,
      uploadBytes: query.length,
      downloadBytes: answer.length,
      rounds,
    }
    say(`${name}: ${classified.file} is ${classified.predicted} (${seconds.toFixed(1)} s)`)
    yield classified
  }
}

/** Memory of the server process now, from its metrics. */
async function residentBytes(url: string): Promise<number> {
  const metrics = await (await fetch(new URL('/metrics', url))).text()
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1] ?? 0)
}

function summary(images: readonly Classified[], ok: boolean): string {
  const rows = images.map((i) => [
    i.model,
    i.file,
    i.truth,
    i.predicted,
    i.clearPredicted,
    i.maxAbsError.toExponential(1),
    i.seconds.toFixed(2),
    String(i.uploadBytes),
    String(i.downloadBytes),
  ])
  const heading = [
    'model',
    'image',
    'truth',
    'encrypted',
    'clear',
    'max error',
    'seconds',
    'bytes up',
    'bytes down',
  ]
  const verdict = ok
    ? 'Every encrypted answer is the clear one. The server saw none of the images.'
    : `An encrypted answer differs from the clear one, or a logit is off by more than ${MAX_ERROR}.`
  return `${table([heading, ...rows])}\n\n${verdict}`
}
