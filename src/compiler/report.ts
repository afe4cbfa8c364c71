import { galoisKeyCount } from '../circuit/keys.ts'
import { log2Modulus } from '../circuit/laws.ts'
import { type CkksParameters, digitCount } from '../circuit/parameters/parameters.ts'
import { bitLength } from '../circuit/parameters/primes.ts'
import { MESSAGE_RMS_BOUND, refreshDepth, refreshFailure, refreshRounds } from '../circuit/refresh.ts'
import type { Circuit, LayerInfo, Op, OpKind } from '../circuit/types.ts'
import { MOST_KERNEL_BYTES, MOST_PLANNED_BYTES } from '../schedule/limits.ts'
import { counted } from '../text/counted.ts'
import { layerReads } from './layer-reads.ts'
import { processMemory } from './planner/target/process-memory.ts'
import { type Target, targetOf } from './planner/target/target.ts'
import { type RestorationReport, restorationInWords, restorationReport } from './restoration-report.ts'

/** Figures of one layer. */
export interface LayerReport {
  readonly name: string
  readonly kind: string
  readonly shape: readonly number[]
  /** Indices of the layers whose results it computes with, in order. */
  readonly reads: readonly number[]
  /**
   * Level and log2 of the scale of the layer's last value, after its refresh or restoration if it has one.
   */
  readonly level: number
  readonly scaleBits: number
  /** Lowest level of the layer's values. */
  readonly lowestLevel: number
  /** Number of the layer's operations, of all kinds. */
  readonly operations: number
  /** Number of the layer's ciphertexts that are refreshed. */
  readonly refreshes: number
  /** Number of the layer's ciphertexts whose levels the server restores. */
  readonly restorations: number
  readonly slotsUsed: number
  readonly rotations: number
  /** Number of products of a ciphertext and a plaintext. */
  readonly terms: number
  /** Number of products of two ciphertexts. */
  readonly products: number
  /** Precision of the layer's last tensor. */
  readonly precisionBits: number
  /** Precision of the logits if no other layer made errors. */
  readonly logitBits: number
  /** Estimated seconds of one core at the plan's speeds. The layers add up to the circuit's total. */
  readonly seconds: number
}

/** Figures of a circuit for people. */
export interface PlanReport {
  readonly layers: readonly LayerReport[]
  readonly ops: Readonly<Record<OpKind, number>>
  /** Images that share the ciphertexts. */
  readonly batch: number
  readonly rotations: number
  readonly galoisKeys: number
  /** Bits of modulus that rescaling takes. */
  readonly depthBits: number
  /** Number of ciphertexts of each refresh round; empty where the client refreshes nothing. */
  readonly rounds: readonly number[]
  /** Refreshes that wait for each other, each for the one before: see `refreshDepth`. */
  readonly refreshDepth: number
  /** Present where the server restores levels. */
  readonly restoration?: RestorationReport
  readonly ring: number
  /** Sizes of the data primes from q_0 up, then of the special primes. */
  readonly primeBits: readonly number[]
  /** Number of special primes. */
  readonly specialPrimes: number
  /** Digits of key switching at the highest level. */
  readonly digits: number
  readonly logQP: number
  readonly seconds: number
  /** Seconds of an image in a full batch. */
  readonly secondsPerImage: number
  readonly bytes: Circuit['estimate']['bytes']
  /** Memory of the engine. */
  readonly memoryBytes: number
  /** Estimated memory of a service's process, with the engine's memory. */
  readonly processBytes: number
  readonly precisionBits: number
  /** Whether the effect of errors on the logits was measured on images. */
  readonly isMeasured: boolean
  /** The choices of the plan, in words. */
  readonly why: readonly string[]
}

/**
 * Reports a circuit for people: counts, levels, sizes, and the reasons of the plan.
 *
 * @param target the engine of the plan; by default the engine that executes the circuit's parameters
 */
export function planReport(circuit: Circuit, target: Target = targetOf(circuit.parameters)): PlanReport {
  const { parameters, batch, estimate, ops } = circuit
  const { primes, specialPrimes } = parameters
  const counts = countOps(ops)
  const primeBits = [...primes, ...specialPrimes].map(bitLength)
  const { ring } = parameters
  const restoration = restorationReport(circuit)
  const consumed = primes.slice(ops[circuit.result].level + 1)
  return {
    layers: layerReports(circuit),
    ops: counts,
    batch,
    rotations: counts.rotate,
    galoisKeys: galoisKeyCount(circuit),
    depthBits: consumed.reduce((sum, prime) => sum + bitLength(prime), 0),
    rounds: refreshRounds(circuit),
    refreshDepth: refreshDepth(circuit),
    ...(restoration && { restoration }),
    ring,
    primeBits,
    specialPrimes: specialPrimes.length,
    digits: digitCount(parameters),
    logQP: parameters.logQP,
    ...estimate,
    processBytes: processMemory(ops, estimate.memoryBytes),
    secondsPerImage: estimate.seconds / batch,
    why: [...reasons(circuit, target), ...restorationInWords(restoration), ...memoryInWords(circuit, target)],
  }
}

function countOps(ops: readonly Op[]): Record<OpKind, number> {
  const counts: Record<OpKind, number> = {
    input: 0,
    rotate: 0,
    conjugate: 0,
    timesI: 0,
    dot: 0,
    addPlain: 0,
    add: 0,
    subtract: 0,
    multiply: 0,
    relinearise: 0,
    rescale: 0,
    dropLevel: 0,
    refresh: 0,
    raise: 0,
  }
  for (const op of ops) counts[op.kind]++
  return counts
}

function layerReports(circuit: Circuit): LayerReport[] {
  const { layers, ops } = circuit
  const own: Op[][] = layers.map(() => [])
  for (const op of ops) own[op.layer].push(op)
  const reads = layerReads(circuit)
  return layers.map((info, index) => layerReport(info, reads[index], own[index]))
}

/** @param own the layer's operations */
function layerReport(info: LayerInfo, reads: readonly number[], own: readonly Op[]): LayerReport {
  const last = own.at(-1)
  return {
    ...info,
    reads,
    level: last?.level ?? 0,
    scaleBits: last ? Math.log2(last.scale) : 0,
    lowestLevel: own.reduce((lowest, { level }) => Math.min(lowest, level), last?.level ?? 0),
    operations: own.length,
    refreshes: countKind(own, 'refresh'),
    restorations: countKind(own, 'raise'),
    rotations: countKind(own, 'rotate'),
    terms: own.reduce((sum, op) => sum + (op.kind === 'dot' ? op.terms.length : 0), 0),
    products: countKind(own, 'multiply'),
  }
}

const countKind = (ops: readonly Op[], kind: OpKind): number => ops.filter((op) => op.kind === kind).length

function reasons(circuit: Circuit, target: Target): string[] {
  const { parameters, batch, input, output, estimate } = circuit
  const { layout } = input
  const slots = parameters.slots / batch
  return [
    `ring ${parameters.ring}: ${circuit.refresh || circuit.raise ? 'the best' : 'the smallest'} of those whose security limit holds ` +
      `${parameters.logQP.toFixed(0)} bits of modulus`,
    primesInWords(parameters, target),
    ...(batch > 1 ? [`${batch} images share the ciphertexts, with ${slots} slots each`] : []),
    `${counted(layout.channelsPerCiphertext, 'channel')} interleaved in ${counted(layout.interleave, 'slot')} per position, row stride ` +
      `${layout.rowStride}; the input takes ${counted(layout.ciphertexts, 'ciphertext')}`,
    `${estimate.precisionBits.toFixed(1)} bits of precision, with flooding noise of deviation ` +
      `${output.flooding.toExponential(1)} in each logit`,
    estimate.isMeasured
      ? 'what errors do to the logits was measured on the calibration images'
      : 'what errors do to the logits is estimated from the weights alone and may be several times more: images of the ' +
        "network's own kind (--calibrate) measure it",
    ...refreshInWords(circuit),
  ]
}

/** The modulus of the refresh level, and the chance that a refreshed value wraps. */
function refreshInWords(circuit: Circuit): string[] {
  const { refresh, parameters } = circuit
  if (refresh === undefined) return []
  const bits = log2Modulus(parameters, refresh.level)
  return [
    `values are refreshed modulo ${bits.toFixed(0)} bits, under masks that are uniform there; a whole inference comes back wrong ` +
      `with a chance below 2^${Math.ceil(refreshFailure(circuit))}, where the root mean square of its values is at most ` +
      `${MESSAGE_RMS_BOUND}`,
  ]
}

/** An engine takes a little more than is stated, for gaps and whole chunks. */
const ROOM = 1.03

/**
 * What a plan keeps in far memory, or the kernel memory that it lacks. A plan that lacks some is reported,
 * but cannot be executed.
 */
function memoryInWords(circuit: Circuit, target: Target): string[] {
  if (target.name === 'seal' || circuit.estimate.memoryBytes <= MOST_PLANNED_BYTES) return []
  const { near, far } = target.memory(circuit)
  const excess = near - MOST_KERNEL_BYTES
  const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2)
  if (excess > 0) {
    return [
      `its engine would need ${gigabytes(excess)} GB more memory than kernels reach: it cannot be executed`,
    ]
  }
  if (far === 0) return []
  return [
    `${gigabytes(far)} GB of keys and weights are kept outside of the ${gigabytes(MOST_KERNEL_BYTES)} GB that kernels reach, and ` +
      `are copied there before each use: a service needs engineMegabytes of at least ${Math.ceil((ROOM * (near + far)) / 2 ** 20)}`,
  ]
}

function primesInWords(parameters: CkksParameters, target: Target): string {
  const { primes, specialPrimes } = parameters
  const sizes = (list: readonly bigint[]): string => list.map(bitLength).join('+')
  const chain = `${primes.length} data primes of ${sizes(primes)} bits`
  if (target.name === 'seal') {
    return `${chain} and a special prime of ${sizes(specialPrimes)}: few large digits make key switching cheap`
  }
  return `${chain} and ${specialPrimes.length} special of ${sizes(specialPrimes)}: ${digitCount(parameters)} digits of key switching`
}
