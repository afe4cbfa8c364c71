import { bundledImages } from '../scripts/building/bundled-images.ts'
import { rotationElements, rotationSteps, wholeKeys } from '../src/circuit/keys.ts'
import { type CkksParameters, checkParameters } from '../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../src/circuit/parameters/primes.ts'
import { KeyRing, memoryKeyStore } from '../src/client/index.ts'
import { compile } from '../src/compiler/index.ts'
import type { ClientKey } from '../src/he-ops/client/client-key.ts'
import { createKernelMemory, instantiateKernels } from '../src/he-ops/kernels/kernels.ts'
import { createSealContext } from '../src/he-ops/seal/context.ts'
import { generateSecretKey } from '../src/he-ops/seal/keys/index.ts'
import { createKeyMaker } from '../src/he-ops/seal/keys/switching.ts'
import { loadSeal } from '../src/he-ops/seal/runtime.ts'
import { createSimdContext, type SimdContext } from '../src/he-ops/simd/index.ts'
import { SimdKeySet } from '../src/he-ops/simd/keys/key-set.ts'
import { Heap } from '../src/he-ops/simd/memory/heap.ts'
import { ThreadPool } from '../src/he-ops/simd/threads/thread-pool.ts'
import { bundledNetworks, loadNetwork, readCheckpoint } from '../src/models/index.ts'
import { type ByteSource, bytesSource, openKeySet, type PackedRlwe, verifyKeySet } from '../src/wire/index.ts'
import { createSimdEvaluator } from '../test/support/simd-evaluator.ts'
import { type Benchmark, check, figure } from './harness.ts'

const THREADS = [1, 2]
const SCALE = 2 ** 30

interface Case {
  readonly name: string
  readonly parameters: CkksParameters
  readonly steps: readonly number[]
}

/**
 * The way of a key set from the client to the server's kernel memory: made as clients do and, for comparison,
 * by node-seal; then loaded. The check rotates ciphertexts with the loaded keys.
 */
export const keys: Benchmark = {
  name: 'keys',
  what: 'keys: made on the client, with the kernels and with node-seal alone, and loaded on the server',
  async run(say) {
    const rows = []
    for (const one of [await bundledCase(), largeCase()]) rows.push(await measure(one, say))
    return { rows }
  },
}

/** The keys of a bundled network. */
async function bundledCase(): Promise<Case> {
  const [bundled] = bundledNetworks()
  const { name, checkpoint, config } = bundled
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const calibration = await bundledImages(bundled)
  const { circuit } = compile(network, {
    model: name,
    ...config,
    calibration,
    target: 'simd',
    refresh: 'never',
  })
  return { name, parameters: circuit.parameters, steps: rotationSteps(circuit) }
}

/**
 * As many primes as the largest ring has room for. There are few keys, because each has tens of megabytes.
 */
function largeCase(): Case {
  const primes = nttPrimes(32768, new Array(30).fill(28)).map(String)
  return {
    name: 'ring 32768, 30 primes',
    parameters: checkParameters({
      ring: 32768,
      primes: primes.slice(0, 26),
      specialPrimes: primes.slice(26),
    }),
    steps: [1, 2, 16383],
  }
}

async function measure({ name, parameters, steps }: Case, say: (line: string) => void): Promise<object> {
  const { ring, primes, specialPrimes } = parameters
  await loadSeal()
  const keyRing = new KeyRing(memoryKeyStore())
  const unlocked = await timed(() => keyRing.unlock(parameters))
  const client = { parameters, key: unlocked.value }
  const made = await timed(() => joined(client.key.keySet(rotationElements(parameters, steps))))
  await verifyKeySet(parameters, bytesSource(made.value))
  const source = { ...bytesSource(made.value), verified: true }
  const loads: Record<string, number> = {}
  for (const threads of THREADS) loads[threads] = await load(client, source, steps, threads)
  keyRing.close()
  const nodeSeal = await nodeSealSeconds(parameters, 1 + steps.length)
  say(`${name}: secret key ${unlocked.seconds.toFixed(2)} s, with node-seal ${nodeSeal.context.toFixed(2)} s`)
  say(`${name}: key set ${made.seconds.toFixed(2)} s, with node-seal ${nodeSeal.keySet.toFixed(2)} s`)
  say(`${name}: loaded in ${THREADS.map((n) => `${loads[n].toFixed(2)} s by ${n}`).join(', ')} threads`)
  return {
    name,
    ring,
    primes: `${primes.length} + ${specialPrimes.length}`,
    keys: 1 + steps.length,
    bytes: made.value.length,
    secretKeySeconds: figure(unlocked.seconds),
    keySetSeconds: figure(made.seconds),
    nodeSeal: { secretKeySeconds: figure(nodeSeal.context), keySetSeconds: figure(nodeSeal.keySet) },
    loadSeconds: loads,
  }
}

/**
 * Seconds of node-seal for the same: for a context of all primes with a secret key, and for the keys, of
 * which it makes one.
 */
async function nodeSealSeconds(
  parameters: CkksParameters,
  keys: number,
): Promise<{ context: number; keySet: number }> {
  const seal = await loadSeal()
  const { value, seconds: context } = await timed(async () => {
    const ctx = createSealContext(seal, parameters)
    return { ctx, secretKey: generateSecretKey(ctx) }
  })
  const maker = createKeyMaker(value.ctx, value.secretKey)
  const { seconds } = await timed(async () => maker.relinKey())
  for (const object of [maker, value.secretKey, value.ctx]) object.delete()
  return { context, keySet: keys * seconds }
}

interface Client {
  readonly parameters: CkksParameters
  readonly key: ClientKey
}

/** Seconds of loading with a pool whose threads have started. */
async function load(
  client: Client,
  source: ByteSource,
  steps: readonly number[],
  threads: number,
): Promise<number> {
  const memory = createKernelMemory()
  const kernels = await instantiateKernels(memory)
  const context = createSimdContext(kernels, new Heap(memory), client.parameters)
  const pool = await ThreadPool.create(memory, kernels, threads)
  const reader = await openKeySet(client.parameters, source)
  // Before the measurement threads start and the kernels are compiled, as on a server that is in use.
  const warm = new SimdKeySet(context)
  await warm.load(reader, wholeKeys(client.parameters, []), pool)
  warm.free()
  const keySet = new SimdKeySet(context)
  const { seconds } = await timed(() =>
    keySet.load(reader, wholeKeys(client.parameters, rotationElements(client.parameters, steps)), pool),
  )
  for (const step of [steps[0], steps[steps.length - 1]]) await checkRotation(client, context, keySet, step)
  await pool.close()
  return figure(seconds)
}

async function checkRotation(
  { key, parameters }: Client,
  context: SimdContext,
  keySet: SimdKeySet,
  step: number,
): Promise<void> {
  const { slots: count } = parameters
  const level = 1
  const slots = Float64Array.from({ length: count }, (_, s) => Math.sin(s + 1))
  const [pair] = await key.encryptSlots([slots], level, SCALE)
  const evaluator = createSimdEvaluator(context, keySet, { constants: [] })
  const rotated = evaluator.rotate(evaluator.load(pair as PackedRlwe, level, SCALE), step)
  const [c0, c1] = evaluator.residues(rotated).map((residues) => {
    const halves = new Uint32Array(2 * residues.length)
    residues.forEach((residue, i) => {
      halves[2 * i] = residue
    })
    return halves
  })
  const { real: found } = await key.decryptPeriodic({ c0, c1 }, level, SCALE, count)
  check(
    found.every((value, s) => Math.abs(value - slots[(s + step) % count]) < 1e-3),
    `rotation by ${step}`,
  )
  evaluator.delete()
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

async function timed<T>(body: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const start = performance.now()
  const value = await body()
  return { value, seconds: (performance.now() - start) / 1000 }
}
