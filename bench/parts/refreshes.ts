import { availableParallelism } from 'node:os'
import type { SecretKey } from 'node-seal'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import { createKernelMemory, instantiateKernels } from '../../src/he-ops/kernels/kernels.ts'
import { createSealContext, type SealContext } from '../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../src/he-ops/seal/encryptor.ts'
import { generateSecretKey, loadSecretKey, secretPolynomial } from '../../src/he-ops/seal/keys/index.ts'
import { rerandomise } from '../../src/he-ops/seal/rerandomise.ts'
import { RestrictedContexts } from '../../src/he-ops/seal/restricted-contexts.ts'
import { loadSeal } from '../../src/he-ops/seal/runtime.ts'
import { ciphertextFromWire } from '../../src/he-ops/seal/serialization/ciphertexts.ts'
import { createSimdContext } from '../../src/he-ops/simd/context.ts'
import {
  completeIngress,
  egressScratch,
  emitEgress,
  emitIngress,
  type RefreshRound,
  readEgress,
  stageIngress,
} from '../../src/he-ops/simd/egress.ts'
import { KernelKey } from '../../src/he-ops/simd/encryption/kernel-key.ts'
import { OutputKeys } from '../../src/he-ops/simd/keys/output-key.ts'
import { Heap } from '../../src/he-ops/simd/memory/heap.ts'
import { linkProgram } from '../../src/he-ops/simd/threads/run.ts'
import { ThreadPool } from '../../src/he-ops/simd/threads/thread-pool.ts'
import { PairLoader } from '../../src/he-ops/simd/values/pair-loader.ts'
import { SeedExpander } from '../../src/he-ops/simd/values/seeds.ts'
import type { Value } from '../../src/he-ops/simd/values/values.ts'
import {
  bytesSource,
  levelShape,
  openKeySet,
  type PackedFullRlwe,
  type PackedRlwe,
} from '../../src/wire/index.ts'
import { packedRlwe, rlweBytes, writeRlwe } from '../../src/wire/rlwe.ts'
import { clientKeySet } from '../../test/support/client-key-set.ts'
import { refreshed } from '../../test/support/refreshed.ts'
import { check, figure, median, medianSeconds } from '../harness.ts'

const RING = 8192
/** The level before a refresh, and the highest level. */
const FROM = 2
const TOP = 5
const SCALE = 2 ** 26
const CIPHERTEXTS = 24
const ROUNDS = 9

const primes = nttPrimes(RING, new Array(TOP + 2).fill(30)).map(String)
const parameters = checkParameters({
  ring: RING,
  primes: primes.slice(0, TOP + 1),
  specialPrimes: primes.slice(TOP + 1),
})

/**
 * A refresh round of some ciphertexts on both sides, and node-seal's sampling for one of them. The figure of
 * a side includes all of its work except frames and digests. The server masks, re-randomises, packs, unpacks,
 * checks, expands seeds and unmasks. The client unpacks, checks, decrypts, lifts, encrypts and packs.
 */
export async function compareRefreshes() {
  const keys = await clientKeys()
  const rows = []
  for (const threads of [1, 2].filter((count) => count === 1 || count <= availableParallelism())) {
    rows.push(await timeRound(keys, threads))
  }
  const nodeSeal = nodeSealSeconds(keys)
  keys.delete()
  return {
    ring: RING,
    primes: `${FROM + 1} of ${TOP + 1}, 30 bits`,
    ciphertexts: CIPHERTEXTS,
    rows,
    nodeSeal,
  }
}

interface Keys {
  readonly ctx: SealContext
  readonly secretKey: SecretKey
  readonly keySet: Uint8Array
  delete(): void
}

async function clientKeys(): Promise<Keys> {
  const ctx = createSealContext(await loadSeal(), parameters)
  const secretKey = generateSecretKey(ctx)
  const chunks: Uint8Array[] = []
  for await (const chunk of clientKeySet(ctx, secretKey, [])) chunks.push(chunk)
  return {
    ctx,
    secretKey,
    keySet: Buffer.concat(chunks),
    delete() {
      secretKey.delete()
      ctx.delete()
    },
  }
}

const message = (i: number): Float64Array =>
  Float64Array.from({ length: RING / 2 }, (_, s) => Math.sin(s + i))

async function timeRound({ ctx, secretKey, keySet }: Keys, threads: number) {
  const server = await Server.create(keySet, threads)
  const client = await KernelKey.create(parameters, secretPolynomial(ctx, secretKey), { threads })
  const messages = Array.from({ length: CIPHERTEXTS }, (_, i) => message(i))
  server.load(encryptSlots(ctx, secretKey, messages, FROM, SCALE).map((pair) => packed(pair, FROM)))
  const times: Record<'leave' | 'client' | 'return', number[]> = { leave: [], client: [], return: [] }
  for (let round = 0; round <= ROUNDS; round++) {
    const start = performance.now()
    const masked = await server.leave()
    const left = performance.now()
    const fresh = await refreshed(client, masked, FROM, TOP)
    const back = performance.now()
    await server.take(fresh)
    const end = performance.now()
    const [{ real: slots }] = decryptSlots(ctx, secretKey, [server.result(round)], TOP, SCALE)
    check(
      slots.every((value, s) => Math.abs(value - messages[round][s]) < 1e-3),
      `round ${round} of ${threads} threads`,
    )
    // The first round is not counted, because threads start and kernels are compiled.
    if (round === 0) continue
    times.leave.push(left - start)
    times.client.push(back - left)
    times.return.push(end - back)
  }
  client.delete()
  await server.close()
  const each = (values: readonly number[]): number => figure(median(values) / CIPHERTEXTS)
  return {
    threads,
    serverMilliseconds: figure(each(times.leave) + each(times.return)),
    leavingMilliseconds: each(times.leave),
    returningMilliseconds: each(times.return),
    clientMilliseconds: each(times.client),
  }
}

function packed(pair: Parameters<typeof writeRlwe>[1], level: number): PackedRlwe {
  const shape = levelShape(parameters, level)
  const bytes = new Uint8Array(rlweBytes(shape, true))
  writeRlwe(shape, pair, bytes)
  return packedRlwe(shape, bytes)
}

/** A round with the kernels and threads of an engine. */
class Server {
  readonly #context: ReturnType<typeof createSimdContext>
  readonly #pool: ThreadPool
  readonly #from: readonly Value[]
  readonly #program: ReturnType<typeof linkProgram>
  readonly #round: RefreshRound
  readonly #loader: PairLoader
  readonly #seeds: SeedExpander

  private constructor(context: ReturnType<typeof createSimdContext>, pool: ThreadPool, keys: OutputKeys) {
    this.#context = context
    this.#pool = pool
    const values = (level: number): Value[] =>
      Array.from({ length: CIPHERTEXTS }, () => ({
        polynomials: [0, 1].map(() => context.heap.allocate(context.limbBytes * (level + 1))),
        primes: level + 1,
        extended: false,
      }))
    this.#from = values(FROM)
    const out = values(TOP)
    let round: RefreshRound | undefined
    this.#program = linkProgram(context, pool.threads, egressScratch(context, [FROM], [FROM]), (builder) => {
      const border = { keys, logits: { stride: 1, count: RING }, floodingBound: 0 }
      round = emitEgress(builder, context, border, this.#from, out)
      emitIngress(builder, context, round)
    })
    this.#round = round!
    this.#loader = new PairLoader(context)
    this.#seeds = new SeedExpander(context.heap, context.kernels)
  }

  static async create(keySet: Uint8Array, threads: number): Promise<Server> {
    const memory = createKernelMemory()
    const kernels = await instantiateKernels(memory)
    const context = createSimdContext(kernels, new Heap(memory), parameters)
    const reader = await openKeySet(parameters, bytesSource(keySet))
    const keys = await OutputKeys.load(context, reader, [FROM])
    return new Server(context, await ThreadPool.create(memory, kernels, threads), keys)
  }

  load(pairs: readonly PackedRlwe[]): void {
    this.#from.forEach(({ polynomials: [c0, c1] }, i) => {
      this.#loader.load(pairs[i], c0, c1)
    })
  }

  async leave(): Promise<PackedFullRlwe[]> {
    await this.#pool.run(this.#program.program, {}, { from: 0, to: 1 })
    return this.#round.out.map(({ polynomials }) => readEgress(this.#context, polynomials, FROM))
  }

  async take(fresh: readonly PackedRlwe[]): Promise<void> {
    for (const pair of fresh) this.#loader.check(pair)
    stageIngress(this.#context, this.#round, fresh)
    await this.#pool.run(this.#program.program, {}, { from: 1, to: 2 })
    completeIngress(this.#context, this.#seeds, this.#round, fresh)
  }

  /** A refreshed value. */
  result(index: number) {
    const { heap } = this.#context
    const [c0, c1] = this.#round.out[index].polynomials.map((address) => {
      const halves = new Uint32Array(2 * RING * (TOP + 1))
      heap.words(address, RING * (TOP + 1)).forEach((residue, i) => {
        halves[2 * i] = residue
      })
      return halves
    })
    return { c0, c1 }
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}

/**
 * Milliseconds that node-seal takes for the sampling of each side for a ciphertext, on one thread, in its
 * smallest context.
 */
function nodeSealSeconds({ ctx, secretKey }: Keys) {
  const contexts = new RestrictedContexts(ctx.seal, parameters)
  const low = contexts.at(FROM)
  const secret = secretPolynomial(ctx, secretKey)
  const lowKey = loadSecretKey(low, secret)
  const generator = new low.seal.KeyGenerator(low.context, lowKey)
  const publicKey = generator.createPublicKey()
  const [pair] = encryptSlots(low, lowKey, [message(0)], FROM, SCALE)
  const ciphertext = ciphertextFromWire(low, pair, FROM, SCALE)
  const server = medianSeconds(9, () =>
    rerandomise(low, publicKey, ciphertext, new Float64Array(RING)).delete(),
  )
  const encryptor = new ctx.seal.Encryptor(ctx.context, publicKeyOf(ctx, secretKey), secretKey)
  const plaintext = new ctx.seal.Plaintext()
  new ctx.seal.CKKSEncoder(ctx.context).encode(message(0), SCALE, plaintext)
  const client = medianSeconds(9, () => encryptor.encryptSymmetricSerializable(plaintext).delete())
  for (const object of [plaintext, encryptor, ciphertext, publicKey, generator, lowKey]) object.delete()
  secret.fill(0)
  contexts.delete()
  return { rerandomiseMilliseconds: figure(server * 1e3), encryptMilliseconds: figure(client * 1e3) }
}

const publicKeyOf = (ctx: SealContext, secretKey: SecretKey) =>
  new ctx.seal.KeyGenerator(ctx.context, secretKey).createPublicKey()
