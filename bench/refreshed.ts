import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildIfStale } from '../scripts/building/build.ts'
import { startServer } from '../scripts/demo/server.ts'
import { type Circuit, manifestOf, refreshDepth, refreshRounds, writeCircuit } from '../src/circuit/index.ts'
import { argmax } from '../src/cli/comparison.ts'
import { link as linkOf } from '../src/cli/input/option-values.ts'
import { DEFAULT_LIMITS, refreshBytes } from '../src/client/index.ts'
import { modelSizes } from '../src/client/local/limits.ts'
import { type Link, planReport } from '../src/compiler/index.ts'
import { referenceForward } from '../src/models/index.ts'
import { deviation, maxAbsDifference } from '../test/models/support/golden.ts'
import { type Benchmark, check, figure, median } from './harness.ts'
import { chosenNames } from './parts/chosen-names.ts'
import type { Classification } from './parts/refreshed/client.ts'
import { runClient } from './parts/refreshed/in-process.ts'
import { relayTo } from './parts/refreshed/link.ts'
import { madeNetworks, prepareMade } from './parts/refreshed/made-networks.ts'
import { type Prepared, prepare, REFRESHED_NETWORKS } from './parts/refreshed/networks.ts'
import { measureStages, type Stages } from './parts/refreshed/stages.ts'
import { sent } from './parts/sent-image.ts'

/** Images of each network after the first one, which loads keys and circuit and is not counted. */
const FEW = 2
/** Limit on the largest error of a logit, relative to the standard deviation of the image's logits. */
const MAX_ERROR = 0.02

type Say = (line: string) => void

/**
 * Networks with refreshes, end to end: client and service are separate processes on one machine, connected by
 * HTTP, and keys are uploaded before. Then one image runs on the engine in this process, to measure its
 * stages.
 */
export const refreshed: Benchmark = {
  name: 'refreshed',
  what: 'networks with refreshes over HTTP, and where the server’s time goes (--count N, --only NAME, --circuits DIR, --link RTT_MS,MBIT, --networks DIR, --precision BITS, --brief)',
  async run(say, { count, only, circuits, networks: folder, precision, link: linkText, brief = false }) {
    await buildIfStale(say)
    const networks: object[] = []
    const link = linkText === undefined ? undefined : linkOf(linkText)
    const images = 1 + (count === undefined ? FEW : Number(count))
    if (folder !== undefined) {
      for (const name of chosenNames(await madeNetworks(folder), only)) {
        networks.push(
          await measure(
            name,
            await prepareMade(folder, name, images, { circuits, precision }),
            { link, brief },
            say,
          ),
        )
      }
      return { networks }
    }
    const names = chosenNames(
      REFRESHED_NETWORKS.map(({ name }) => name),
      only,
    )
    for (const one of REFRESHED_NETWORKS.filter(({ name }) => names.includes(name))) {
      const prepared = await prepare(one, images, circuits)
      if (typeof prepared === 'string') {
        say(`${one.name}: skipped, ${prepared}`)
        networks.push({ name: one.name, skipped: prepared })
      } else {
        networks.push(await measure(one.name, prepared, { link, brief }, say))
      }
    }
    return { networks }
  },
}

async function measure(
  name: string,
  prepared: Prepared,
  { link, brief }: { readonly link: Link | undefined; readonly brief: boolean },
  say: Say,
): Promise<object> {
  const { circuit, compileSeconds } = prepared
  say(
    `${name}: ${compileSeconds === undefined ? 'compiled before' : `compiled in ${figure(compileSeconds)} s`}`,
  )
  const served = await overHttp(prepared, link)
  say(`${name}: ${served.seconds.total} s, error ${served.largestErrorInDeviations} deviations`)
  const stages = brief ? undefined : await checkedStages(name, prepared, say)
  return {
    name,
    ...(link && { link }),
    ...(compileSeconds !== undefined && { compileSeconds: figure(compileSeconds) }),
    ...served,
    engineMemoryStatedBytes: circuit.estimate.memoryBytes,
    serverMemoryStatedBytes: planReport(circuit).processBytes,
    estimatedCoreSeconds: figure(circuit.estimate.seconds),
    ...(stages && { stages }),
  }
}

/** The server's time by stage, in this process. */
async function checkedStages(name: string, prepared: Prepared, say: Say): Promise<Omit<Stages, 'logits'>> {
  const { circuit, images } = prepared
  const { logits, ...stages } = await measureStages(circuit, sent(images[0], circuit))
  checkLogits(prepared, 0, logits)
  const longest = stages.operations.slice(0, 3).map(({ what, seconds }) => `${what} ${seconds} s`)
  say(`${name}: the longest ${longest}`)
  return stages
}

/** Sends every image to a service of this circuit only. The first classification is reported separately. */
async function overHttp(prepared: Prepared, link: Link | undefined) {
  const { circuit, images } = prepared
  const models = await mkdtemp(join(tmpdir(), 'polyveil-bench-'))
  const { model } = circuit
  await writeFile(join(models, `${model}.pvc`), writeCircuit(circuit))
  const server = await startServer(models)
  const relay = link && (await relayTo(server.url, link))
  try {
    const task = { url: relay?.url ?? server.url, model, images: images.map((image) => sent(image, circuit)) }
    const { keySeconds, classifications, peakRssBytes } = await runClient(task)
    return {
      keysMadeAndUploadedSeconds: figure(keySeconds),
      ...accuracyOf(prepared, classifications),
      ...secondsOf(classifications),
      bytes: bytesOf(circuit),
      rounds: refreshRounds(circuit).length,
      refreshDepth: refreshDepth(circuit),
      refreshedCiphertexts: refreshRounds(circuit).reduce((sum, ciphertexts) => sum + ciphertexts, 0),
      serverPeakRssBytes: await server.peakBytes(),
      clientPeakRssBytes: peakRssBytes,
    }
  } finally {
    relay?.close()
    await server.stop()
    await rm(models, { recursive: true, force: true })
  }
}

function accuracyOf(prepared: Prepared, classifications: readonly Classification[]) {
  const errors = classifications.map(({ logits }, k) => checkLogits(prepared, k, logits))
  return {
    images: classifications.length,
    sameLabel: errors.filter(({ isSame }) => isSame).length,
    largestErrorInDeviations: figure(Math.max(...errors.map(({ error }) => error))),
  }
}

/** @throws when logits differ from those of the float reference */
function checkLogits(
  { network, images }: Prepared,
  k: number,
  logits: Float64Array,
): { error: number; isSame: boolean } {
  const clear = referenceForward(network, images[k])
  const error = maxAbsDifference(clear, logits) / deviation(clear)
  check(error < MAX_ERROR, `image ${k}: a logit is ${error} deviations from the reference's`)
  return { error, isSame: argmax(clear) === argmax(logits) }
}

function secondsOf([first, ...counted]: readonly Classification[]) {
  const rows = counted.length > 0 ? counted : [first]
  const middle = (value: (row: Classification) => number): number => figure(median(rows.map(value)))
  return {
    firstSeconds: figure(first.total),
    seconds: {
      total: middle(({ total }) => total),
      clientCores: middle(({ clientCores }) => clientCores),
      serverCores: middle(({ serverCores }) => serverCores),
    },
    requests: first.requests,
  }
}

function bytesOf(circuit: Circuit) {
  const sizes = modelSizes(manifestOf(circuit), circuit.parameters, DEFAULT_LIMITS)
  const { up, down } = refreshBytes(sizes)
  return { keys: sizes.keys, up: sizes.query + up, down: sizes.response + down }
}
