import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { manifestOf, writeCircuit } from '../../src/circuit/index.ts'
import {
  type Classification,
  type ClientProgress,
  connect,
  memoryKeyStore,
  type PolyVeil,
} from '../../src/client/index.ts'
import { compile } from '../../src/compiler/index.ts'
import type { PreprocessedImage } from '../../src/preprocessing/index.ts'
import { goldenNetwork, goldenTensors, item, maxAbsDifference } from '../models/support/golden.ts'
import { serving } from '../server/serving.ts'
import { casesOf } from '../support/thorough.ts'
import { stretched } from './stretched.ts'

// Batches end to end: several images share ciphertexts, a client and a service exchange them by HTTP, and the
// simd engine computes. One circuit has refreshes and a batch of two images; the other is one shot and has a
// batch of four.

const BATCH = { micro_t: 2, one_shot: 4 } as const
type Name = keyof typeof BATCH
const MAX_ERROR = 2e-2

async function prepared(name: Name, rings: number[]) {
  const network = await goldenNetwork(name)
  const tensors = await goldenTensors(name)
  const { preprocessing } = network.config
  const refresh = name === 'one_shot' ? 'never' : 'client'
  const { circuit } = compile(network, { model: name, preprocessing, rings, refresh, batch: BATCH[name] })
  const row = (tensor: string, k: number) => item(tensors.get(tensor)!, k).data
  const images = [0, 1, 2, 3].map(
    (k): PreprocessedImage => ({ shape: circuit.input.image, tensor: Float64Array.from(row('input', k)) }),
  )
  return { circuit, images, logits: images.map((_, k) => row('logits', k)) }
}

const networks = { micro_t: await prepared('micro_t', [8192]), one_shot: await prepared('one_shot', [16384]) }
const { circuit: refreshed } = networks.micro_t
t.ok(refreshed.refresh && !networks.one_shot.circuit.refresh)

const directory = t.testdir()
await writeFile(join(directory, 'one_shot.pvc'), writeCircuit(networks.one_shot.circuit))
const { url } = await serving(t, refreshed, {}, directory)

/** The requests that the client sent: method, path without ids, and size. */
const sent: string[] = []
const polyveil: PolyVeil = await connect(url, {
  keys: memoryKeyStore(),
  fetch: (resource, init) => {
    const path = new URL(String(resource)).pathname.replace(/(keys|inferences)\/[^/]+/, '$1/ID')
    const body = (init?.body ?? '') as string | Uint8Array
    sent.push(`${init?.method ?? 'GET'} ${path} ${body.length}`)
    return fetch(resource, init)
  },
})
t.teardown(() => polyveil.close())
for (const name of Object.keys(BATCH)) await polyveil.keys(name)

/**
 * The requests of inferences since a position in `sent`. They are sorted, because the order of overlapping
 * rounds depends on the machine.
 */
const since = (from: number): string[] =>
  sent
    .slice(from)
    .filter((each) => /infer/.test(each))
    .sort()
const queries = (from: number): number => since(from).filter((each) => each.includes('/infer ')).length

function logitsOf(classes: readonly Classification[]): Float64Array {
  const logits = new Float64Array(classes.length)
  for (const { index, logit } of classes) logits[index] = logit
  return logits
}

for (const name of Object.keys(BATCH) as Name[]) {
  const { circuit, images, logits } = networks[name]
  t.test(`${name}: the logits of the images differ enough to show a wrong place`, async (t) => {
    for (let a = 0; a < 4; a++) {
      for (let b = 0; b < a; b++) t.ok(maxAbsDifference(logits[a], logits[b]) > 3 * MAX_ERROR, `${a}, ${b}`)
    }
  })

  t.test(`${name}: classify sends ${circuit.batch} images in each query`, async (t) => {
    // One image more than a batch holds, in another order.
    const chosen = [3, 1, 0, 2, 1].slice(0, circuit.batch + 1)
    const before = sent.length
    const progress: ClientProgress[] = []
    const results = await polyveil.classify(
      name,
      chosen.map((k) => images[k]),
      { onProgress: (state) => progress.push(state) },
    )
    t.equal(results.length, chosen.length)
    results.forEach((classes, place) => {
      const error = maxAbsDifference(logitsOf(classes), logits[chosen[place]])
      t.ok(error < MAX_ERROR, `image ${chosen[place]} in place ${place}: ${error}`)
    })
    t.equal(queries(before), 2)
    t.strictSame([...new Set(progress.map(({ inference }) => inference))], [1, 2])
    t.ok(progress.every(({ inferences }) => inferences === 2))
    const stages = progress.map(({ stage }) => stage)
    t.ok(
      stages.lastIndexOf('infer') < stages.indexOf('decrypt'),
      'all queries are sent before any answer is decrypted',
    )
  })

  t.test(`${name}: requests do not depend on the number of images`, async (t) => {
    const traffic = async (count: number): Promise<string[]> => {
      const before = sent.length
      const frame = await polyveil.encrypt(name, images.slice(0, count))
      const answer = await polyveil.infer(name, frame)
      const rows = await polyveil.decryptBatch(name, answer)
      t.equal(rows.length, circuit.batch)
      rows.forEach((row, place) => {
        const error = maxAbsDifference(row, logits[place % count])
        t.ok(error < MAX_ERROR, `${count} images, place ${place}: ${error}`)
      })
      return since(before)
    }
    t.strictSame(await traffic(1), await traffic(circuit.batch))
  })

  t.test(`${name}: a single image is classified`, async (t) => {
    const classes = await polyveil.classify(name, images[2], { topK: 3 })
    t.equal(classes.length, 3)
    t.ok(Math.abs(classes[0].logit - logits[2][classes[0].index]) < MAX_ERROR)
    const answer = await polyveil.infer(name, await polyveil.encrypt(name, images[1]))
    t.ok(maxAbsDifference(await polyveil.decrypt(name, answer), logits[1]) < MAX_ERROR)
    t.strictSame(await polyveil.classify(name, []), [])
  })

  t.test(`${name}: too many images, no image and a malformed image are refused`, async (t) => {
    const before = sent.length
    const tooMany = Array.from({ length: circuit.batch + 1 }, () => images[0])
    const facts = { batch: circuit.batch }
    await t.rejects(polyveil.encrypt(name, tooMany), { code: 'CONFIG_INVALID', facts })
    await t.rejects(polyveil.encrypt(name, []), { code: 'CONFIG_INVALID', facts })
    const last = { ...images[0], shape: [1, 2, 3] as const }
    await t.rejects(polyveil.classify(name, [...tooMany, last]), { code: 'CONFIG_INVALID' })
    t.equal(sent.length, before, 'nothing was sent')
  })
}

t.test(
  'one image on which the network diverges invalidates its batch, and no request depends on it',
  async (t) => {
    const { images } = networks.micro_t
    const { sent: wild } = stretched(images[0].tensor, 1.3, refreshed.input)
    // The free place of the last batch holds the same image.
    const pairs = [[wild, images[1]], [images[1], wild], [wild]]
    for (const pair of casesOf(pairs, pairs.slice(1))) {
      const answer = await polyveil.infer('micro_t', await polyveil.encrypt('micro_t', pair))
      const refused = {
        code: 'TENSOR_OUT_OF_RANGE',
        message: /One image that overflows spoils all 2 of its batch/,
        facts: { batch: 2 },
      }
      await t.rejects(polyveil.decryptBatch('micro_t', answer), refused)
      await t.rejects(polyveil.decrypt('micro_t', answer), refused)
    }
    const manyOf = (first: PreprocessedImage) => [first, images[1], images[2], images[3]]
    const traffic = async (first: PreprocessedImage, outcome: string): Promise<string[]> => {
      const before = sent.length
      const found = await polyveil.classify('micro_t', manyOf(first)).then(
        () => 'labels',
        ({ code }) => code,
      )
      t.equal(found, outcome)
      return since(before)
    }
    const bad = await traffic(wild, 'TENSOR_OUT_OF_RANGE')
    t.strictSame(
      bad,
      await traffic(images[0], 'labels'),
      'the requests are the same, also for the later batch',
    )

    const before = sent.length
    const settled = await polyveil.classifySettled('micro_t', manyOf(wild))
    t.strictSame(since(before), bad, 'classifySettled sends the same requests')
    const expected = networks.micro_t.logits
    const code = 'TENSOR_OUT_OF_RANGE'
    for (const result of settled.slice(0, 2)) t.match(result, { status: 'rejected', reason: { code } })
    for (const [k, place] of [2, 3].entries()) {
      const result = settled[2 + k] as PromiseFulfilledResult<Classification[]>
      t.ok(
        maxAbsDifference(logitsOf(result.value), expected[place]) < MAX_ERROR,
        `image ${place} has its label`,
      )
    }
  },
)

t.test('the service states the size of the batch', async (t) => {
  for (const name of Object.keys(BATCH) as Name[]) {
    const { parameters } = await (await fetch(`${url}/v2/models/${name}`)).json()
    t.match(parameters, { batch: BATCH[name], manifest_digest: manifestOf(networks[name].circuit).digest })
  }
})
