import { readFile } from 'node:fs/promises'
import { buildIfStale } from '../scripts/building/build.ts'
import { importBuilt } from '../scripts/building/import-built.ts'
import { startServer } from '../scripts/demo/server.ts'
import { argmax } from '../src/cli/comparison.ts'
import { bundledNetworks, loadNetwork, readCheckpoint, referenceForward } from '../src/models/index.ts'
import { decodeImage } from '../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../src/preprocessing/index.ts'
import { type Benchmark, check, figure, median } from './harness.ts'

type Client = typeof import('../src/client/index.ts')

const ROUND_TRIPS = 5
const MAX_ERROR = 1e-2

/**
 * The time that users wait: an image is encrypted, sent, classified, returned and decrypted. The built
 * service is a separate process on the same machine, reached by HTTP, and keys are uploaded before.
 */
export const service: Benchmark = {
  name: 'service',
  what: 'round trips over HTTP with keys in place, and the memory of the service',
  async run(say) {
    await buildIfStale(say)
    const { connect, memoryKeyStore } = await importBuilt<Client>('client/index.js')
    const server = await startServer()
    try {
      await using polyveil = await connect(server.url, { keys: memoryKeyStore() })
      const networks = []
      for (const network of bundledNetworks()) networks.push(await measure(polyveil, network, say))
      return { networks, serverPeakRssBytes: await server.peakBytes() }
    } finally {
      await server.stop()
    }
  },
}

async function measure(
  polyveil: Awaited<ReturnType<Client['connect']>>,
  { name, config, checkpoint, images }: ReturnType<typeof bundledNetworks>[number],
  say: (line: string) => void,
) {
  const keys = performance.now()
  await polyveil.keys(name)
  const keySeconds = secondsSince(keys)
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const rows: { encrypt: number; infer: number; decrypt: number; total: number }[] = []
  let bytes = { query: 0, answer: 0 }
  // The first round trip loads keys and circuit into the engine and is not counted.
  for (const { file } of images.slice(0, ROUND_TRIPS + 1)) {
    const image = preprocess(await decodeImage(await readFile(file)), config.preprocessing)
    const start = performance.now()
    const query = await polyveil.encrypt(name, image)
    const encrypt = secondsSince(start)
    const answer = await polyveil.infer(name, query)
    const infer = secondsSince(start) - encrypt
    const logits = await polyveil.decrypt(name, answer, { fullPrecision: true })
    const total = secondsSince(start)
    const clear = referenceForward(network, networkInput(image))
    const error = Math.max(...clear.map((value, k) => Math.abs(value - logits[k])))
    check(error < MAX_ERROR && argmax(logits) === argmax(clear), `${name}: ${file} is as in the clear`)
    rows.push({ encrypt, infer, decrypt: total - encrypt - infer, total })
    bytes = { query: query.length, answer: answer.length }
  }
  const counted = rows.slice(1)
  const middle = (stage: keyof (typeof rows)[number]): number =>
    figure(median(counted.map((row) => row[stage])))
  const roundTrip = middle('total')
  say(
    `${name}: ${roundTrip} s, the first ${rows[0].total.toFixed(2)} s, keys before ${keySeconds.toFixed(1)} s`,
  )
  return {
    name,
    roundTrips: counted.length,
    keysMadeAndUploadedSeconds: figure(keySeconds),
    firstRoundTripSeconds: figure(rows[0].total),
    roundTripSeconds: roundTrip,
    stages: { encrypt: middle('encrypt'), infer: middle('infer'), decrypt: middle('decrypt') },
    bytes,
  }
}

const secondsSince = (start: number): number => (performance.now() - start) / 1000
