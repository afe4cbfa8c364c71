import { availableParallelism } from 'node:os'
import { circuitElements } from '../../../src/circuit/keys.ts'
import { log2Modulus } from '../../../src/circuit/laws.ts'
import { raiseFailure, slotsOfStages } from '../../../src/circuit/raise.ts'
import type { Circuit, ComplexVector } from '../../../src/circuit/types.ts'
import { restorationBound, restorationLevels } from '../../../src/compiler/planner/search/restoration.ts'
import type { ClientKey } from '../../../src/he-ops/client/client-key.ts'
import { createClientKey, sampleSecretKey } from '../../../src/he-ops/client/create.ts'
import type { SimdSpeeds } from '../../../src/schedule/cost.ts'
import type { PackedRlwe } from '../../../src/wire/index.ts'
import {
  errorOf,
  message,
  repeated,
  restorationCircuit,
} from '../../../test/compiler/lowering/restoration/restored.ts'
import { unpacked } from '../../../test/he-ops/simd/fixture.ts'
import { check, figure } from '../../harness.ts'
import type { PlannedRestoration } from './planned.ts'
import { RestorationEngine } from './restoration-engine.ts'

/** Numbers of threads that are compared. */
const THREADS = [1, 2]
/** Root mean square of the message's parts. */
const RMS = 1
/** Limits of the found error, relative to the stated root mean square. */
const MOST_RMS = 1.2
const MOST_LARGEST = 16

/**
 * Restores one encrypted value on engines of one thread and of two, by turns. The results are checked before
 * they are timed.
 *
 * @param runs of each engine that are timed
 * @param speeds of the kernels on this machine
 */
export async function measureRestoration(
  { parameters, plan, networkLevels }: PlannedRestoration,
  runs: number,
  speeds: SimdSpeeds,
  say: (line: string) => void,
): Promise<object> {
  const { stages, rotations, scaleBits } = plan
  const bound = restorationBound(parameters.ring)
  const copies = parameters.slots / slotsOfStages(stages)
  const choices = { stages, rotations, scaleBits, bound, networkLevels, copies, rms: RMS }
  const { circuit, restorer } = restorationCircuit(parameters, choices)
  const secret = await sampleSecretKey(parameters)
  const key = await createClientKey(parameters, secret, 'benchmark')
  const start = performance.now()
  const keySet = await keySetOf(key, circuit)
  const keySeconds = (performance.now() - start) / 1000
  say(`${parameters.ring}: ${keySet.length} bytes of keys made in ${figure(keySeconds)} s`)
  const slots = repeated(message(parameters.slots / copies, RMS), copies)
  const { input } = circuit
  const query = (await key.encryptSlots([slots], input.level, input.scale)) as readonly PackedRlwe[]
  const engines: RestorationEngine[] = []
  try {
    for (const threads of THREADS.filter((count) => count <= availableParallelism())) {
      engines.push(await RestorationEngine.create(circuit, keySet, threads, speeds))
      say(`${parameters.ring}: keys and constants loaded by ${threads} threads`)
    }
    const stated = Math.sqrt(restorer.errorVariance(parameters.ring, RMS))
    const errors = []
    for (const engine of engines) errors.push(await checkedError(engine, circuit, key, query, slots, stated))
    for (let run = 0; run < runs; run++) for (const engine of engines) await engine.timedRun(query)
    const rows = engines.map((engine) => engine.report())
    for (const { threads, seconds } of rows) say(`${parameters.ring}: ${seconds} s on ${threads} threads`)
    const levels = restorationLevels(plan, parameters.raiseLevel!, networkLevels)
    return {
      ring: parameters.ring,
      transformFactors: { slotsToCoefficients: stages, coefficientsToSlots: stages.toReversed() },
      copies,
      rotationChoice: rotations,
      logQP: figure(parameters.logQP),
      primes: { data: parameters.primes.length, special: parameters.specialPrimes.length },
      // A value of the refresh level is restored, and comes back at the network's level.
      levels,
      modulusBits: Object.fromEntries(
        Object.entries(levels).map(([name, level]) => [name, figure(log2Modulus(parameters, level))]),
      ),
      operations: countsOf(circuit),
      failureBits: figure(raiseFailure(circuit)),
      errorBits: {
        stated: bitsBelow(stated),
        rms: bitsBelow(Math.max(...errors.map(({ rms }) => rms))),
        largest: bitsBelow(Math.max(...errors.map(({ largest }) => largest))),
      },
      keys: { galois: circuitElements(parameters, circuit).length, wireBytes: keySet.length },
      keySeconds: figure(keySeconds),
      threads: rows,
    }
  } finally {
    for (const engine of engines) await engine.close()
    key.delete()
  }
}

async function keySetOf(key: ClientKey, circuit: Circuit): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of key.keySet(circuitElements(circuit.parameters, circuit))) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** @throws when the decrypted value differs from the message by more than the stated error allows */
async function checkedError(
  engine: RestorationEngine,
  { output, parameters }: Circuit,
  key: ClientKey,
  query: readonly PackedRlwe[],
  slots: ComplexVector,
  stated: number,
): Promise<{ readonly rms: number; readonly largest: number }> {
  const result = unpacked(await engine.run(query))
  const back = await key.decryptPeriodic(result, output.level, output.scale, parameters.slots)
  const { rms, largest } = errorOf(back, slots)
  const found = `rms 2^${Math.log2(rms)}, largest 2^${Math.log2(largest)}, stated 2^${Math.log2(stated)}`
  check(rms > 0 && rms < MOST_RMS * stated, `the value comes back with the stated error (${found})`)
  check(largest < MOST_LARGEST * stated, `no slot is far from the message (${found})`)
  return { rms, largest }
}

/** Bits by which an error lies below the message. */
const bitsBelow = (error: number): number => figure(Math.log2(RMS / error))

function countsOf({ ops }: Circuit): Record<string, number> {
  const kinds = ['rotate', 'conjugate', 'relinearise', 'multiply', 'rescale', 'dot', 'raise'] as const
  return Object.fromEntries(kinds.map((kind) => [kind, ops.filter((op) => op.kind === kind).length]))
}
