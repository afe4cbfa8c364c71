import { availableParallelism, totalmem } from 'node:os'
import type { SecretKey } from 'node-seal'
import { type Circuit, type Manifest, manifestOf } from '../../circuit/index.ts'
import { digitSize } from '../../circuit/parameters/parameters.ts'
import { KeyRing, LocalModel, memoryKeyStore, refreshBytes } from '../../client/index.ts'
import type { Session } from '../../he-ops/engine.ts'
import { openSealSession } from '../../he-ops/engines/seal-session.ts'
import { openSimdSession } from '../../he-ops/engines/simd-session.ts'
import { newFloodingKeys } from '../../he-ops/flooding.ts'
import {
  createSealContext,
  type EvaluationKeys,
  generateNativeKeys,
  loadKeySet,
  loadSeal,
  loadSecretKey,
  type SealContext,
} from '../../he-ops/index.ts'
import { SimdEngine } from '../../he-ops/simd/index.ts'
import type { EngineName } from '../../schedule/engine-name.ts'
import { requireEngineRoom, requireRoom } from '../../schedule/engine-room.ts'
import { MOST_KERNEL_BYTES } from '../../schedule/limits.ts'
import { type ByteSource, bytesSource, verifyKeySet } from '../../wire/index.ts'
import { Stopwatch } from '../stopwatch.ts'
import type { VerificationBackend } from './backend.ts'

/** Limits protect a client from a server; here both sides are this process. */
const NO_LIMITS = {
  maxKeyBytes: Infinity,
  maxQueryBytes: Infinity,
  maxResponseBytes: Infinity,
  maxRoundBytes: Infinity,
  maxUploadBytes: Infinity,
  maxDownloadBytes: Infinity,
}

/**
 * Runs the client's and the server's code in one process, with the frames between them that would go over the
 * network: keys, query and answer are encoded, checked and decoded, and the answer is re-randomised. SEAL
 * cannot use keys of several special primes: these are made and checked, and SEAL evaluates with native keys.
 *
 * @param threads that the simd engine uses; by default one for each core
 * @throws TOO_LARGE when the circuit needs more memory than the simd engine may have, or has more bytes of
 *   keys, before keys are made
 */
export async function encryptedBackend(
  circuit: Circuit,
  backend: EngineName,
  threads = availableParallelism(),
): Promise<VerificationBackend> {
  if (backend === 'simd') requireEngineRoom(circuit, totalmem())
  const ring = new KeyRing(memoryKeyStore())
  const manifest = manifestOf(circuit)
  const client = new LocalModel(manifest, ring, NO_LIMITS)
  requireRoom(circuit, client.sizes.keys, MOST_KERNEL_BYTES, 'of keys, and a verification has room for')
  const watch = new Stopwatch()
  const keySet = await keySetFrame(client)
  const keygenSeconds = watch.lap()
  const open = backend === 'simd' ? openOnSimd(threads) : openOnSeal(ring)
  const server = await open(circuit, manifest, bytesSource(keySet))
  const { keys, query, response } = client.sizes
  const { up: refreshUp, down: refreshDown } = refreshBytes(client.sizes)
  return {
    keygenSeconds,
    loadSeconds: watch.lap(),
    engineMemory: server.session.memory,
    bytes: { keys, query, refreshUp, refreshDown, response },
    rounds: manifest.rounds,
    async run(images, onProgress) {
      watch.lap()
      const query = await client.encrypt(images)
      const encrypt = watch.lap()
      let execute = 0
      let refreshClient = 0
      const response = await server.session.infer(
        query,
        { onProgress, overlap: false },
        async (round, masked, reply) => {
          execute += watch.lap()
          const refreshed = await client.refresh(round, masked)
          refreshClient += watch.lap()
          await reply(refreshed)
        },
      )
      execute += watch.lap()
      const logits = (await client.decryptBatch(response, { fullPrecision: true })).slice(0, images.length)
      return { logits, seconds: { encrypt, execute, refreshClient, decrypt: watch.lap() } }
    },
    async close() {
      await server.close()
      ring.close()
    },
  }
}

async function keySetFrame(client: LocalModel): Promise<Uint8Array> {
  const frame = new Uint8Array(client.sizes.keys)
  let offset = 0
  for await (const chunk of client.keySet()) {
    frame.set(chunk, offset)
    offset += chunk.length
  }
  return frame
}

interface ServerSide {
  readonly session: Session
  close(): Promise<void>
}

type OpenServerSide = (circuit: Circuit, manifest: Manifest, keySet: ByteSource) => Promise<ServerSide>

const openOnSimd =
  (threads: number): OpenServerSide =>
  async (circuit, manifest, keySet) => {
    const engine = await SimdEngine.create({ threads })
    try {
      const session = await openSimdSession(engine, {
        circuit,
        manifest,
        keys: engine.newKeySet(circuit.parameters),
        source: keySet,
        floodingKeys: newFloodingKeys(),
      })
      return { session, close: () => engine.close() }
    } catch (error) {
      await engine.close()
      throw error
    }
  }

const openOnSeal =
  (ring: KeyRing): OpenServerSide =>
  async (circuit, manifest, keySet) => {
    const context = createSealContext(await loadSeal(), circuit.parameters)
    const keys = await evaluationKeys(context, manifest, ring, keySet)
    const session = openSealSession(context, keys, circuit, manifest, newFloodingKeys())
    return {
      session,
      async close() {
        session.free()
        context.delete()
      },
    }
  }

async function evaluationKeys(
  context: SealContext,
  { galoisElements }: Manifest,
  ring: KeyRing,
  keySet: ByteSource,
): Promise<EvaluationKeys> {
  if (digitSize(context.parameters) === 1) return loadKeySet(context, keySet, galoisElements)
  await verifyKeySet(context.parameters, keySet)
  const secretKey = await secretKeyIn(context, ring)
  try {
    return generateNativeKeys(context, secretKey, galoisElements)
  } finally {
    secretKey.delete()
  }
}

async function secretKeyIn(context: SealContext, ring: KeyRing): Promise<SecretKey> {
  const secret = (await ring.unlock(context.parameters)).copySecret()
  try {
    return loadSecretKey(context, secret)
  } finally {
    secret.fill(0)
  }
}
