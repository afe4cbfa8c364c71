import type { FastifyRequest } from 'fastify'
import { PolyVeilError } from '../../errors/index.ts'
import type { ServedModel } from '../catalogue.ts'
import type { InferenceRequest } from '../inference/binary-body.ts'
import { InferenceCancelled } from '../inference/engine.ts'
import type { Inference } from '../inference/inference.ts'
import { conflict } from '../problems/http-error.ts'
import type { Services } from '../services.ts'
import type { HeldKeys } from '../stores/held-keys.ts'
import { type KeyStore, nameOf } from '../stores/key-store.ts'
import { loggedName } from '../stores/store-log.ts'

/** A query, the key sets that its sender may use, and the request that it came with. */
export interface Query extends InferenceRequest {
  readonly keys: HeldKeys
  readonly httpRequest: FastifyRequest
}

/**
 * Counts a query against the budget of its tenant, runs the inference on the engine, and notes how it ended:
 * in the registry and in the log.
 *
 * @returns the frame of the encrypted logits
 * @throws FORBIDDEN when the budget is spent; INFERENCE_UNKNOWN (409) when the inference is cancelled; errors
 *   of the engine
 */
export async function runQuery(
  services: Services,
  model: ServedModel,
  query: Query,
  inference: Inference,
): Promise<Uint8Array> {
  const { engine, inferences } = services
  const { keySet, frame, keys, httpRequest } = query
  const { caller } = httpRequest
  // The circuit's file may be replaced while the inference waits for its turn.
  const letGo = model.file?.hold()
  let giveBack = (): void => {}
  try {
    giveBack = takeImages(services, model, query)
    const stored = { name: nameOf(keySet), location: keys.location(keySet) }
    const { signal } = inference
    const whose = {
      owner: caller.network,
      mostOfOwner: caller.quota.inferences,
      silence: () => inference.idleTimer.silence,
      evict: () => inference.evict(),
    }
    const onProgress = (done: number, total: number): void => inference.progress(done, total)
    const { client } = inference.rounds
    const answer = await engine.infer({ model, keys: stored, frame, signal, whose, onProgress, client })
    inferences.end(inference, 'done')
    logEnd(query, inference, 'ok')
    return answer
  } catch (error) {
    if (isOwnFault(error)) giveBack()
    await discardDamaged(services.keys, keySet, error)
    const isCancelled = error instanceof InferenceCancelled
    inferences.end(inference, isCancelled ? 'cancelled' : 'failed')
    logEnd(query, inference, outcomeOf(error))
    if (isCancelled) throw conflict('INFERENCE_UNKNOWN', inference.cancelReason, { id: inference.id })
    throw error
  } finally {
    letGo?.()
  }
}

function outcomeOf(error: unknown): string {
  if (error instanceof InferenceCancelled) return 'cancelled'
  return error instanceof PolyVeilError ? error.code : 'INTERNAL'
}

/** Logs how an inference ended: `outcome` is ok, cancelled, or an error code. */
function logEnd({ keySet, httpRequest }: Query, inference: Inference, outcome: string): void {
  const { id, model, round, rounds, seconds } = inference.snapshot
  httpRequest.log.info(
    { inference: id, model, keySet: loggedName(nameOf(keySet)), outcome, round, rounds, seconds },
    'An inference ended',
  )
}

/** Deletes a key set that a worker found damaged, so that no later query meets it. */
async function discardDamaged(keys: KeyStore, keySet: string, error: unknown): Promise<void> {
  if (!(error instanceof PolyVeilError) || error.facts.isDamaged !== true) return
  await keys.discard(keySet)
}

/** Errors after which a client that did nothing wrong has no answer. */
const OWN_FAULTS: readonly string[] = ['TOO_BUSY', 'WORKER_LOST', 'INTERNAL']

function isOwnFault(error: unknown): boolean {
  if (error instanceof PolyVeilError) return OWN_FAULTS.includes(error.code)
  return !(error instanceof InferenceCancelled)
}

/**
 * Counts the images of a query against the budget of its tenant.
 *
 * @returns a function that takes them back
 * @throws FORBIDDEN when the tenant has too few left
 */
function takeImages(
  { budget, audit }: Services,
  { name: model, manifest: { batch } }: ServedModel,
  { keySet, httpRequest: request }: Query,
): () => void {
  const facts = { model, images: batch, keySet: loggedName(nameOf(keySet)) }
  try {
    const giveBack = budget.take(request.caller, batch)
    audit('query taken', request, facts)
    return giveBack
  } catch (error) {
    audit('query refused: budget spent', request, facts)
    throw error
  }
}
