import { type Circuit, type Manifest, manifestOf, rotationSteps } from '../../circuit/index.ts'
import { createSealContext, createSealEvaluator, loadSeal, type SealContext } from '../../he-ops/index.ts'
import { decryptSlots, encryptSlots } from '../../he-ops/seal/encryptor.ts'
import { galoisElements, generateKeySet, generateSecretKey, loadKeySet } from '../../he-ops/seal/keys.ts'
import { querySpec, responseSpec } from '../../server/tensor-specs.ts'
import { runInference } from '../../server/worker/inference.ts'
import { bytesSource, decodeTensor, encodeTensor, keySetBytes, tensorBytes } from '../../wire/index.ts'
import { Stopwatch } from '../stopwatch.ts'
import type { OnProgress, VerificationBackend } from './backend.ts'
import { logitsOf } from './slots.ts'

type SecretKey = ReturnType<typeof generateSecretKey>

/**
 * Client and server in one process, with the very frames between them that would go over the network: keys, query and
 * answer are encoded, checked and decoded, and the server's part is the server's own.
 */
export async function sealBackend(circuit: Circuit): Promise<VerificationBackend> {
  const context = createSealContext(await loadSeal(), circuit.parameters)
  const manifest = manifestOf(circuit)
  const watch = new Stopwatch()
  const secretKey = generateSecretKey(context)
  const keySet = await keySetFrame(context, secretKey, rotationSteps(circuit))
  const keygenSeconds = watch.lap()
  const server = await serverSide(context, circuit, manifest, keySet)
  return {
    keygenSeconds,
    bytes: {
      keys: keySet.length,
      query: tensorBytes(circuit.parameters, querySpec(manifest)),
      response: tensorBytes(circuit.parameters, responseSpec(manifest)),
    },
    async run(vectors, onProgress) {
      watch.lap()
      const query = encryptQuery(context, secretKey, manifest, vectors)
      const encrypt = watch.lap()
      const response = server.infer(query, onProgress)
      const execute = watch.lap()
      const logits = decryptLogits(context, secretKey, manifest, response)
      return { logits, seconds: { encrypt, execute, decrypt: watch.lap() } }
    },
    close() {
      server.delete()
      secretKey.delete()
      context.delete()
    },
  }
}

async function keySetFrame(
  ctx: SealContext,
  secretKey: SecretKey,
  steps: readonly number[],
): Promise<Uint8Array> {
  const frame = new Uint8Array(keySetBytes(ctx.parameters, galoisElements(ctx, steps)))
  let offset = 0
  for await (const chunk of generateKeySet(ctx, secretKey, steps)) {
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
  context: SealContext,
  circuit: Circuit,
  manifest: Manifest,
  keySet: Uint8Array,
): Promise<ServerSide> {
  const keys = await loadKeySet(context, bytesSource(keySet), rotationSteps(circuit))
  const evaluator = createSealEvaluator(context, keys, circuit)
  return {
    infer: (query, onProgress) =>
      runInference({ circuit, manifest }, { context, keys, evaluator }, query, { onProgress }),
    delete() {
      evaluator.delete()
      keys.delete()
    },
  }
}

function encryptQuery(
  ctx: SealContext,
  secretKey: SecretKey,
  manifest: Manifest,
  vectors: readonly Float64Array[],
): Uint8Array {
  const { level, scale } = manifest.input
  const ciphertexts = encryptSlots(ctx, secretKey, vectors, level, scale)
  return encodeTensor(ctx.parameters, querySpec(manifest), ciphertexts)
}

function decryptLogits(
  ctx: SealContext,
  secretKey: SecretKey,
  manifest: Manifest,
  response: Uint8Array,
): Float64Array {
  const { level, scale } = manifest.output
  const pairs = decodeTensor(ctx.parameters, responseSpec(manifest), response)
  const [slots] = decryptSlots(ctx, secretKey, pairs, level, scale)
  return logitsOf(manifest.output, slots)
}
