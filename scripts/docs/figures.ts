import { code, markdownTable } from './markdown.ts'
import { mlInferenceTable } from './ml-inference-table.ts'
import { NETWORKS } from './networks.ts'
import { refreshedTable, source } from './refreshed-table.ts'
import { restorationTable, restoredNetworksTable } from './restored-table.ts'
import { type EngineMemory, RESULTS } from './results.ts'
import { bytesText, countText, millisecondsText, percent, secondsText } from './units.ts'

// The tables of docs/performance.md, and the figures of README.md. Every figure comes from a file of
// bench/results.

const DAY_SECONDS = 86_400
/** Share of the cores that the table of images a day assumes. */
const LOAD = 0.5
/** Images that a client sends in a day in that table. */
const IMAGES_OF_A_CLIENT = 100
/** Default of the setting `workerKeyMegabytes`. */
const KEY_MEGABYTES = 2048

const { oneShot, refreshed, lowres, s, b, l, plans, accuracy, engine, keys, kernels } = RESULTS

/** Every table of docs/performance.md, by the name of its block. */
export const PERFORMANCE_TABLES: Readonly<Record<string, () => string>> = {
  'bundled networks': bundledTable,
  'networks with refreshes': () => refreshedTable([refreshed], refreshed.results.refreshed.networks),
  'one restoration': restorationTable,
  'restored networks': restoredNetworksTable,
  'images a day': imagesADayTable,
  batches: batchesTable,
  'ml-inference': mlInferenceTable,
  'low resolution': () => refreshedTable([lowres], lowres.results.refreshed.networks),
  'large networks': () =>
    refreshedTable(
      [s, b, l],
      [s, b, l].flatMap(({ results }) => results.refreshed.networks),
    ),
  plans: plansTable,
  operations: operationsTable,
  keys: keysTable,
  kernels: kernelsTable,
  profile: profileTable,
}

/** The table of figures in README.md. */
export function readmeTable(): string {
  const rows = [
    ...oneShotNetworks().map(({ name, service, simd }) => [
      name,
      secondsText(service.roundTripSeconds),
      bytesText(simd.bytes.keys),
      bytesText(service.bytes.query + service.bytes.answer),
      'none',
    ]),
    ...refreshed.results.refreshed.networks.map(({ name, seconds, bytes, rounds }) => [
      name === 't224' ? 'CPolyNeXt-T' : name,
      secondsText(seconds.total),
      bytesText(bytes.keys),
      bytesText(bytes.up + bytes.down),
      String(rounds),
    ]),
  ]
  const facts = ['digits', 'clothing', ...refreshed.results.refreshed.networks.map(({ name }) => name)].map(
    (name) => [NETWORKS[name].input, String(NETWORKS[name].products)],
  )
  const cells = rows.map(([name, ...rest], k) => [name, ...facts[k], ...rest])
  const heading = [
    'network',
    'pixels',
    'products',
    'one image',
    'keys, once',
    'traffic of an image',
    'refresh rounds',
  ]
  return `${markdownTable([heading, ...cells])}\n\n${source(oneShot, refreshed)}`
}

function oneShotNetworks() {
  return oneShot.results.service.networks.map((service) => {
    const measured = oneShot.results['one-shot'].networks.find(({ name }) => name === service.name)
    const checked = accuracy.results.accuracy.networks.find(({ name }) => name === service.name)
    if (measured === undefined || checked === undefined) throw new Error(`No results of ${service.name}`)
    return { ...measured, service, checked }
  })
}

function bundledTable(): string {
  const networks = oneShotNetworks()
  type Network = (typeof networks)[number]
  const row = (what: string, cell: (network: Network) => string): string[] => [what, ...networks.map(cell)]
  const table = markdownTable([
    row('', ({ name }) => name),
    row('round trip, median', ({ service }) => secondsText(service.roundTripSeconds)),
    row('of which encryption, decryption', ({ service: { stages } }) =>
      [stages.encrypt, stages.decrypt].map(millisecondsText).join(', '),
    ),
    row('execution on the engine alone, two threads', ({ simd }) => secondsText(simd.seconds.execute)),
    row(
      'the same with node-seal',
      ({ seal, ratio }) => `${secondsText(seal.seconds.execute)} (${ratio.execute.toPrecision(2)} times)`,
    ),
    row('the first answer, which loads keys and the program', ({ service }) =>
      secondsText(service.firstRoundTripSeconds),
    ),
    row('making and uploading keys', ({ service }) => secondsText(service.keysMadeAndUploadedSeconds)),
    row('keys on the wire', ({ simd }) => bytesText(simd.bytes.keys)),
    row('query, answer', ({ service: { bytes } }) => [bytes.query, bytes.answer].map(bytesText).join(', ')),
    row('memory of the engine', ({ simd }) => bytesText(sum(simd.engineMemoryBytes))),
    row('compile', ({ simd }) => secondsText(simd.seconds.compile)),
    row('test images; labels as in the clear', ({ checked }) => `${checked.images}; ${checked.sameAnswer}`),
    row('largest error of a logit', ({ checked }) => String(Number(checked.maxAbsError.toPrecision(2)))),
  ])
  const memory = bytesText(oneShot.results.service.serverPeakRssBytes)
  return `${table}\n\nPeak memory of the service with both: ${memory}. ${source(oneShot)}\nThe two last rows: \`bench/results/${accuracy.file}\`.`
}

function imagesADayTable(): string {
  const cores = refreshed.machine.cores
  const rows = [
    ...oneShotNetworks().map(({ name, service, simd }) => ({
      name,
      coreSeconds: simd.seconds.execute * cores,
      bytes: service.bytes.query + service.bytes.answer,
      memory: simd.engineMemoryBytes,
    })),
    ...refreshed.results.refreshed.networks.map(({ name, seconds, bytes, stages }) => ({
      name,
      coreSeconds: seconds.serverCores,
      bytes: bytes.up + bytes.down,
      memory: stages!.engineMemoryBytes,
    })),
  ].map(({ name, coreSeconds, bytes, memory }) => {
    const images = (LOAD * cores * DAY_SECONDS) / coreSeconds
    return [
      `\`${name}\``,
      secondsText(coreSeconds),
      countText(images),
      countText(images / IMAGES_OF_A_CLIENT),
      String(Math.floor((KEY_MEGABYTES * 2 ** 20) / (memory.keys + memory.program))),
      `${Number(((images * bytes * 8) / DAY_SECONDS / 1e6).toPrecision(2))} Mbit/s`,
    ]
  })
  const heading = [
    'network',
    'core seconds of the service for an image',
    'M: images a day at half load',
    `N: clients that send ${IMAGES_OF_A_CLIENT} images a day`,
    'clients whose keys stay loaded',
    'traffic, day-long average',
  ]
  return `${markdownTable([heading, ...rows])}\n\nComputed from the two tables above for one service on that machine: ${refreshed.machine.processor}, ${cores} cores.`
}

function batchesTable(): string {
  const { batches } = accuracy.results.batches
  type Batch = (typeof batches)[number]
  const row = (what: string, cell: (batch: Batch) => string): string[] => [what, ...batches.map(cell)]
  const table = markdownTable([
    row('images at once', ({ batch }) => String(batch)),
    row('images a second, against one at a time', ({ ratio }) => ratio.imagesPerSecond.toFixed(2)),
    row('time of an inference, against that of one image', ({ ratio }) => ratio.latency.toFixed(2)),
    row('rotations', ({ rotations }) => String(rotations)),
    row('Galois keys', ({ galoisKeys }) => String(galoisKeys)),
    row('ciphertexts of the query', ({ inputs }) => String(inputs)),
    row('keys on the wire', ({ bytes }) => bytesText(bytes.keys)),
    row('memory of the engine', ({ engineMemoryBytes }) => bytesText(sum(engineMemoryBytes))),
  ])
  return `${table}\n\n${source(accuracy)}`
}

function plansTable(): string {
  const heading = [
    'architecture',
    'planned and lowered in',
    'rounds',
    'of them one after another',
    'refreshed ciphertexts',
    'planned seconds of one core',
  ]
  const rows = plans.results.plans.networks.map((network) => [
    code(network.name),
    secondsText(network.seconds),
    String(network.rounds),
    String(network.refreshDepth),
    String(network.refreshedCiphertexts),
    String(Math.round(network.plannedCoreSeconds)),
  ])
  return `${markdownTable([heading, ...rows])}\n\n${source(plans)}`
}

function operationsTable(): string {
  const { rows } = engine.results.engine.operations
  const cells = rows.map(({ what, simdMilliseconds, sealMilliseconds, ratio }) => [
    what,
    `${simdMilliseconds.toPrecision(3)} ms`,
    `${Number(sealMilliseconds.toPrecision(3))} ms`,
    ratio.toPrecision(3),
  ])
  return `${markdownTable([['', 'simd', 'node-seal', 'ratio'], ...cells])}\n\n${source(engine)}`
}

function keysTable(): string {
  const cells = keys.results.keys.rows.map((row) => [
    `N = ${row.ring}, ${row.primes} primes, ${row.keys} Galois keys, ${bytesText(row.bytes)}`,
    secondsText(row.secretKeySeconds),
    secondsText(row.keySetSeconds),
    `${secondsText(row.nodeSeal.secretKeySeconds)} and ${secondsText(row.nodeSeal.keySetSeconds)}`,
    secondsText(row.loadSeconds['2']),
  ])
  const heading = ['', 'secret key', 'key set', 'both with node-seal', 'loaded by two threads']
  return `${markdownTable([heading, ...cells])}\n\n${source(keys)}`
}

function kernelsTable(): string {
  const cells = kernels.results.kernels.rows.map((row) => [
    row.kernel,
    row.where,
    row.cyclesEach.toPrecision(3),
    vectorInstructions(row.kernel),
    String(row.bytesEach),
    String(Math.round(row.gigabytesPerSecond)),
  ])
  const heading = [
    'kernel',
    'operands in',
    'cycles a residue',
    'vector instructions a residue',
    'bytes moved',
    'GB/s',
  ]
  return `${markdownTable([heading, ...cells])}\n\n${source(kernels)}`
}

/** Vector instructions of a kernel for a residue; empty for kernels that are counted by loop. */
function vectorInstructions(name: string): string {
  const counted = kernels.results.instructions.rows.filter(({ kernel }) => kernel === name)
  return counted.length === 1 && counted[0].each === 'residue' ? String(counted[0].vectorInstructions) : ''
}

function profileTable(): string {
  const { rows, plainSeconds } = kernels.results.profile
  const shown = rows.filter(({ share }) => share >= 0.02)
  const rest = 1 - shown.reduce((total, { share }) => total + share, 0)
  const cells = [
    ...shown.map(({ what, share }) => [what, percent(share)]),
    ['all other kernels', percent(rest)],
  ]
  return `${markdownTable([['kernel', 'share'], ...cells])}\n\nThe whole took ${secondsText(plainSeconds)}. ${source(kernels)}`
}

const sum = ({ keys, constants, program }: EngineMemory): number => keys + constants + program
