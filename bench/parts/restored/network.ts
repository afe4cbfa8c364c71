import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeCircuit } from '../../../src/circuit/index.ts'
import { raiseFailure } from '../../../src/circuit/raise.ts'
import { argmax } from '../../../src/cli/comparison.ts'
import { planReport } from '../../../src/compiler/index.ts'
import { referenceForward } from '../../../src/models/index.ts'
import { deviation, maxAbsDifference } from '../../../test/models/support/golden.ts'
import { check, figure, median } from '../../harness.ts'
import { inProcess } from '../child-process.ts'
import type { Prepared } from '../refreshed/networks.ts'
import { sent } from '../sent-image.ts'
import type { CircuitReport, CircuitTask } from './run-circuit.ts'

/** Limit on the error of a logit, relative to the standard deviation of the image's logits. */
const MAX_ERROR = 0.03

/**
 * Classifies images with a network whose server restores levels: the client's and the server's code in one
 * process, and the frames between them.
 *
 * @throws when a label differs from that of the reference in the clear, or a logit from the reference's
 */
export async function measureNetwork(name: string, prepared: Prepared) {
  const { circuit, compileSeconds, images } = prepared
  const restorations = circuit.ops.filter(({ kind }) => kind === 'raise').length
  check(restorations > 0, `the server of ${name} restores levels`)
  const report = await classified(prepared)
  const { ring, primes, specialPrimes, logQP } = circuit.parameters
  const { keys, query, response } = report.bytes
  return {
    name,
    ...(compileSeconds !== undefined && { compileSeconds: figure(compileSeconds) }),
    ring,
    primes: { data: primes.length, special: specialPrimes.length },
    logQP: figure(logQP),
    restorations,
    failureBits: figure(raiseFailure(circuit)),
    ...accuracyOf(prepared, report.images),
    images: images.length,
    threads: report.threads,
    seconds: secondsOf(report),
    bytes: { keys, query, answer: response },
    engineMemoryBytes: report.engineMemory,
    engineMemoryStatedBytes: circuit.estimate.memoryBytes,
    peakRssBytes: report.peakRssBytes,
    serverMemoryStatedBytes: planReport(circuit).processBytes,
    estimatedCoreSeconds: figure(circuit.estimate.seconds),
  }
}

/** Runs the circuit in a process of its own. */
async function classified({ circuit, images }: Prepared): Promise<CircuitReport> {
  const folder = await mkdtemp(join(tmpdir(), 'polyveil-bench-'))
  try {
    const file = join(folder, 'circuit.pvc')
    await writeFile(file, writeCircuit(circuit))
    const task: CircuitTask = { file, images: images.map((image) => sent(image, circuit)) }
    return await inProcess<CircuitReport>(new URL('./run-circuit.ts', import.meta.url), task)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * The errors of all logits, relative to the deviation of their image's logits in the clear.
 *
 * @throws when a label or a logit is wrong
 */
export function accuracyOf(
  { network, images }: Pick<Prepared, 'network' | 'images'>,
  rows: readonly { readonly logits: Float64Array }[],
): { readonly sameLabel: number; readonly errorInDeviations: { rms: number; largest: number } } {
  check(rows.length === images.length, 'every image has logits')
  let squares = 0
  let count = 0
  let largest = 0
  images.forEach((image, k) => {
    const clear = referenceForward(network, image)
    const { logits } = rows[k]
    const unit = deviation(clear)
    const error = maxAbsDifference(clear, logits) / unit
    check(error < MAX_ERROR, `image ${k}: a logit is ${error} deviations from the reference's`)
    check(argmax(clear) === argmax(logits), `image ${k} has the label of the reference`)
    largest = Math.max(largest, error)
    count += clear.length
    squares += clear.reduce((sum, value, i) => sum + ((value - logits[i]) / unit) ** 2, 0)
  })
  return {
    sameLabel: rows.length,
    errorInDeviations: { rms: figure(Math.sqrt(squares / count)), largest: figure(largest) },
  }
}

/** Medians of the images after the first one, during which code is still being compiled. */
function secondsOf({ keygenSeconds, loadSeconds, images: [first, ...others] }: CircuitReport) {
  const rows = others.length > 0 ? others : [first]
  const middle = (key: 'encrypt' | 'execute' | 'decrypt'): number =>
    figure(median(rows.map((row) => row[key])))
  return {
    keys: figure(keygenSeconds),
    load: figure(loadSeconds),
    firstExecute: figure(first.execute),
    encrypt: middle('encrypt'),
    execute: middle('execute'),
    decrypt: middle('decrypt'),
  }
}
