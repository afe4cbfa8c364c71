import { code, markdownTable } from './markdown.ts'
import { source } from './refreshed-table.ts'
import { type EngineMemory, RESULTS, type Restoration, type RestoredNetwork } from './results.ts'
import { bytesText, secondsText } from './units.ts'

// The tables of levels that the server restores.

const { restored, restoredS } = RESULTS

/** One restoration in each ring. */
export function restorationTable(): string {
  const rows = restored.results.restored.restorations.filter((each) => 'ring' in each)
  const row = (what: string, cell: (restoration: Restoration) => string): string[] => [
    what,
    ...rows.map(cell),
  ]
  const last = ({ threads }: Restoration) => threads.at(-1)!
  const table = markdownTable([
    row('', ({ ring }) => `N = ${ring}`),
    row('as in the plan of', ({ plannedFor }) => code(plannedFor)),
    row('seconds, by number of threads', ({ threads }) =>
      threads.map((each) => `${secondsText(each.seconds)} (${each.threads})`).join(', '),
    ),
    ...stepNames(rows).map((name) => row(`of which ${name}`, (restoration) => stepText(restoration, name))),
    row('levels before and after', ({ levels }) => `${levels.refresh}, ${levels.network}`),
    row(
      'log2 of the modulus before and after',
      ({ modulusBits: { refresh, network } }) => `${Math.round(refresh)}, ${Math.round(network)}`,
    ),
    row(
      'log2 of the modulus at the highest level, and with special primes',
      ({ modulusBits, logQP }) => `${Math.round(modulusBits.top)}, ${Math.round(logQP)}`,
    ),
    row('primes: data and special', ({ primes }) => `${primes.data}, ${primes.special}`),
    row('error below the message, in bits: root mean square, largest', ({ errorBits }) =>
      [errorBits.rms, errorBits.largest].map((bits) => bits.toFixed(1)).join(', '),
    ),
    row('chance of a wrong value', ({ failureBits }) => chance(failureBits)),
    row('copies of the message in the slots', ({ copies }) => String(copies)),
    row('stages in each factor of the transforms', ({ transformFactors: { slotsToCoefficients } }) =>
      slotsToCoefficients.join(' + '),
    ),
    row(
      'rotations and conjugations; relinearisations',
      ({ operations }) => `${operations.rotate + operations.conjugate}; ${operations.relinearise}`,
    ),
    row('Galois keys', ({ keys }) => String(keys.galois)),
    row('keys: on the wire, in memory', (restoration) =>
      [restoration.keys.wireBytes, last(restoration).engineMemoryBytes.keys].map(bytesText).join(', '),
    ),
    row('making keys, loading them and the weights', (restoration) =>
      [restoration.keySeconds, last(restoration).loadSeconds].map(secondsText).join(', '),
    ),
    row('peak memory of the engine', (restoration) => bytesText(last(restoration).enginePeakBytes)),
  ])
  return `${table}\n\n${source(restored)}`
}

/** The steps of a restoration, in order. */
const stepNames = (rows: readonly Restoration[]): string[] => [
  ...new Set(rows.flatMap(({ threads }) => threads.flatMap(({ steps }) => steps.map(({ what }) => what)))),
]

/** Seconds of a step with each number of threads, and those of the kernels alone on one core. */
function stepText({ threads }: Restoration, name: string): string {
  const steps = threads.flatMap((each) => each.steps.filter(({ what }) => what === name))
  const measured = steps.map(({ seconds }) => secondsText(seconds)).join(', ')
  return `${measured}; kernels alone ${secondsText(steps[0].modelSeconds)}`
}

/** Networks without rounds, a column for each. */
export function restoredNetworksTable(): string {
  const networks = [restored, restoredS]
    .flatMap(({ results }) => results.restored.networks)
    .filter((each) => 'seconds' in each)
  const row = (what: string, cell: (network: RestoredNetwork) => string): string[] => [
    what,
    ...networks.map(cell),
  ]
  const compiled = networks.every(({ compileSeconds }) => compileSeconds !== undefined)
  const table = markdownTable([
    row('', ({ name }) => code(name)),
    row('server, for an image', ({ seconds }) => secondsText(seconds.execute)),
    row('threads', ({ threads }) => String(threads)),
    row('planned seconds of one core', ({ estimatedCoreSeconds }) => secondsText(estimatedCoreSeconds)),
    row('client: keys', ({ seconds }) => secondsText(seconds.keys)),
    row('client: encryption, decryption', ({ seconds }) =>
      [seconds.encrypt, seconds.decrypt].map(secondsText).join(', '),
    ),
    row('loading keys and weights', ({ seconds }) => secondsText(seconds.load)),
    ...(compiled ? [row('compile', ({ compileSeconds = 0 }) => secondsText(compileSeconds))] : []),
    row('restorations', ({ restorations }) => String(restorations)),
    row('chance of a wrong value in an inference', ({ failureBits }) => chance(failureBits)),
    row('ring; data and special primes', ({ ring, primes }) => `${ring}; ${primes.data}, ${primes.special}`),
    row('images; labels as in the clear', ({ images, sameLabel }) => `${images}; ${sameLabel}`),
    row('error of logits, in deviations: root mean square, largest', ({ errorInDeviations }) =>
      [errorInDeviations.rms, errorInDeviations.largest]
        .map((error) => String(Number(error.toPrecision(2))))
        .join(', '),
    ),
    row('keys on the wire', ({ bytes }) => bytesText(bytes.keys)),
    row('query, answer', ({ bytes }) => [bytes.query, bytes.answer].map(bytesText).join(', ')),
    row('memory of the engine: stated, measured', ({ engineMemoryStatedBytes, engineMemoryBytes }) =>
      [engineMemoryStatedBytes, total(engineMemoryBytes)].map(bytesText).join(', '),
    ),
    row('peak memory of both sides in one process', ({ peakRssBytes }) => bytesText(peakRssBytes)),
  ])
  return `${table}\n\n${source(restored, restoredS)}`
}

const chance = (bits: number): string => `2^${Math.ceil(bits)}`

const total = ({ keys, constants, program }: EngineMemory): number => keys + constants + program
