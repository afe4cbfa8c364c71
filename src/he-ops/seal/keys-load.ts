import type { GaloisKeys, PublicKey, RelinKeys } from 'node-seal'
import { galoisElement } from '../../circuit/keys.ts'
import { type ByteSource, keysMissing, openKeySet, type Rlwe } from '../../wire/index.ts'
import type { SealContext } from './context.ts'
import { type Deletable, guarded } from './runtime.ts'
import { ciphertextToSeal, keyLevel, switchingKeyToSeal } from './serialization.ts'

/** What a server evaluates with. Lives on node-seal's heap until `delete`. */
export interface EvaluationKeys {
  readonly publicKey: PublicKey
  readonly relinKeys: RelinKeys
  /** One key each, by rotation steps. */
  readonly galoisKeys: ReadonlyMap<number, GaloisKeys>
  /** Heap that the keys take, in bytes: their residues. */
  readonly bytes: number
  delete(): void
}

/**
 * Loads the keys that a circuit needs from a key set, checking everything before node-seal sees it.
 *
 * @param source the frame; read key by key
 * @param wantedSteps rotation steps of the circuit; further keys of the set are not loaded
 * @throws KEYS_MISSING with the Galois elements that the set lacks
 * @throws PARAMETERS_MISMATCH, TENSOR_MALFORMED, TOO_LARGE as `openKeySet`
 */
export async function loadKeySet(
  ctx: SealContext,
  source: ByteSource,
  wantedSteps: readonly number[],
): Promise<EvaluationKeys> {
  const elements = new Map(wantedSteps.map((steps) => [steps, galoisElement(ctx.parameters.ring, steps)]))
  const reader = await openKeySet(ctx.parameters, source)
  const missing = [...elements.values()].filter((element) => !reader.galoisElements.includes(element))
  if (missing.length > 0) throw keysMissing(missing)
  const owned: Deletable[] = []
  const free = (): void => {
    for (const object of owned.splice(0)) object.delete()
  }
  const load = <K extends Loadable>(key: K, bytes: Uint8Array): K => {
    owned.push(key)
    guarded(ctx.seal, () => key.loadFromArray(ctx.context, bytes))
    return key
  }
  const { seal, parameters } = ctx
  const level = keyLevel(ctx)
  try {
    const publicKey = load(new seal.PublicKey(), ciphertextToSeal(level, await reader.publicKey(), 1))
    const relin = { vectors: 1, vector: 0 }
    const relinKeys = load(new seal.RelinKeys(), switchingKeyToSeal(level, await reader.relinKey(), relin))
    const galoisKeys = new Map<number, GaloisKeys>()
    for (const [steps, element] of elements) {
      const bytes = galoisKeyToSeal(ctx, element, await reader.galoisKey(element))
      galoisKeys.set(steps, load(new seal.GaloisKeys(), bytes))
    }
    const pairs = 1 + (1 + galoisKeys.size) * parameters.primes.length
    const bytes = pairs * 2 * level.primes.length * level.ring * 8
    return { publicKey, relinKeys, galoisKeys, bytes, delete: free }
  } catch (cause) {
    free()
    throw cause
  }
}

interface Loadable extends Deletable {
  loadFromArray(context: SealContext['context'], bytes: Uint8Array): void
}

const galoisKeyToSeal = (ctx: SealContext, element: number, pairs: readonly Rlwe[]): Uint8Array =>
  switchingKeyToSeal(keyLevel(ctx), pairs, { vectors: ctx.parameters.ring, vector: (element - 1) / 2 })
