import { type Circuit, type Manifest, manifestOf } from '../../circuit/index.ts'
import { digitSize } from '../../circuit/parameters.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../client/index.ts'
import {
  createSealContext,
  createSealEvaluator,
  type EvaluationKeys,
  generateNativeKeys,
  loadKeySet,
  loadSeal,
  type SealContext,
} from '../../he-ops/index.ts'
import { runInference } from '../../server/worker/inference.ts'
import { type ByteSource, bytesSource, verifyKeySet } from '../../wire/index.ts'
import { Stopwatch } from '../stopwatch.ts'
import type { OnProgress, VerificationBackend } from './backend.ts'

/** Whoever verifies a circuit has made it; there is nobody to be protected from by limits. */
const NO_LIMITS = { maxKeyBytes: Infinity, maxQueryBytes: Infinity, maxResponseBytes: Infinity }

/**
 * Client and server in one process, each by its own code, with the very frames between them that would go over the
 * network: keys, query and answer are encoded, checked and decoded, and the answer is re-randomised. Keys of several
 * special primes are made and checked too, but SEAL, which cannot use them, evaluates with keys of its own.
 */
export async function sealBackend(circuit: Circuit): Promise<VerificationBackend> {
  const ring = new KeyRing(memoryKeyStore())
  const manifest = manifestOf(circuit)
  const client = new LocalModel(manifest, ring, NO_LIMITS)
  const watch = new Stopwatch()
  const keySet = await keySetFrame(client)
  const keygenSeconds = watch.lap()
  const server = await serverSide(circuit, manifest, ring, keySet)
  return {
    keygenSeconds,
    bytes: client.sizes,
    async run(image, onProgress) {
      watch.lap()
      const query = await client.encrypt(image)
      const encrypt = watch.lap()
      const response = server.infer(query, onProgress)
      const execute = watch.lap()
      const logits = await client.decrypt(response)
      return { logits, seconds: { encrypt, execute, decrypt: watch.lap() } }
    },
    close() {
      server.delete()
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
  infer(query: Uint8Array, onProgress: OnProgress): Uint8Array
  delete(): void
}

async function serverSide(
  circuit: Circuit,
  manifest: Manifest,
  ring: KeyRing,
  keySet: Uint8Array,
): Promise<ServerSide> {
  const context = createSealContext(await loadSeal(), circuit.parameters)
  const keys = await evaluationKeys(context, manifest, ring, bytesSource(keySet))
  const evaluator = createSealEvaluator(context, keys, circuit)
  return {
    infer: (query, onProgress) =>
      runInference({ circuit, manifest }, { context, keys, evaluator }, query, { onProgress }),
    delete() {
      evaluator.delete()
      keys.delete()
      context.delete()
    },
  }
}

async function evaluationKeys(
  context: SealContext,
  { rotationSteps }: Manifest,
  ring: KeyRing,
  keySet: ByteSource,
): Promise<EvaluationKeys> {
  if (digitSize(context.parameters) === 1) return loadKeySet(context, keySet, rotationSteps)
  await verifyKeySet(context.parameters, keySet)
  const { secretKey } = await ring.unlock(context.parameters)
  return generateNativeKeys(context, secretKey, rotationSteps)
}
