import type { FastifyRequest } from 'fastify'
import { PolyVeilError } from '../../errors/index.ts'
import type { ServedModel } from '../catalogue.ts'
import type { InferenceRequest } from '../inference/binary-body.ts'
import { type EngineStage, InferenceCancelled } from '../inference/engine.ts'
import type { Inference } from '../inference/inference.ts'
import { conflict, HttpError } from '../problems/http-error.ts'
import type { Services } from '../services.ts'
import type { HeldKeys } from '../stores/held-keys.ts'
import { type KeyStore, nameOf } from '../stores/key-store.ts'
import { loggedName } from '../stores/store-log.ts'

/** A query, the key sets that its sender may use, and the request that it came with. */
export interface Query extends InferenceRequest {
  readonly keys: HeldKeys
  readonly httpRequest: FastifyRequest
  readonly onStage?: (stage: EngineStage) => void
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
  const { keySet, frame, keys, httpRequest, onStage } = query
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
    const job = { model, keys: stored, frame, signal, whose, onProgress, onStage, client }
    const answer = await engine.infer(job)
    inferences.end(inference, 'done')
    logEnd(query, inference, 'ok')
    return answer
  } catch (error) {
    const isCancelled = error instanceof InferenceCancelled
    // What follows may fail, and the inference has ended all the same.
    inferences.end(inference, isCancelled ? 'cancelled' : 'failed')
    logEnd(query, inference, outcomeOf(error))
    if (isOwnFault(error, inference)) giveBack()
    await discardDamaged(services.keys, query, error)
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

/**
 * Deletes a key set that a worker found damaged, so that no later query meets it. The client gets the error
 * of its query, also when that fails.
 */
async function discardDamaged(
  keys: KeyStore,
  { keySet, httpRequest: { log } }: Query,
  error: unknown,
): Promise<void> {
  if (!isDamaged(error)) return
  try {
    await keys.discard(keySet)
  } catch (err) {
    log.error({ err, keySet: loggedName(nameOf(keySet)) }, 'A damaged key set could not be deleted')
  }
}

const isDamaged = (error: unknown): boolean =>
  error instanceof PolyVeilError && error.facts.isDamaged === true

/** Errors after which a client that did nothing wrong has no answer. */
const OWN_FAULTS: readonly string[] = ['TOO_BUSY', 'WORKER_LOST', 'MODEL_UNAVAILABLE', 'INTERNAL']
/** The server lacks memory or disk space. */
const INSUFFICIENT_STORAGE = 507

function isOwnFault(error: unknown, { isStopped }: Inference): boolean {
  if (error instanceof InferenceCancelled) return isStopped
  if (!(error instanceof PolyVeilError)) return true
  const isLackOfRoom = error instanceof HttpError && error.status === INSUFFICIENT_STORAGE
  return isLackOfRoom || isDamaged(error) || OWN_FAULTS.includes(error.code)
}

/**
 * Counts the images of a query against the budget of its tenant.
 *
 * @returns a function that gives them back, and logs it when that fails
 * @throws FORBIDDEN when the tenant has too few left; TOO_BUSY when the query cannot be recorded
 */
function takeImages(
  { budget, audit }: Services,
  { name: model, manifest: { batch } }: ServedModel,
  { keySet, httpRequest: request }: Query,
): () => void {
  const facts = { model, images: batch, keySet: loggedName(nameOf(keySet)) }
  const take = (): (() => void) => {
    try {
      return budget.take(request.caller, batch)
    } catch (error) {
      if (isSpent(error)) audit('query refused: budget spent', request, facts)
      throw error
    }
  }
  const addBack = take()
  const giveBack = (): void => {
    try {
      addBack()
      if (request.caller.tenant !== undefined) audit('images given back', request, facts)
    } catch (err) {
      request.log.error({ err, ...facts }, 'Images could not be given back to a tenant')
    }
  }
  try {
    audit('query taken', request, facts)
  } catch (error) {
    giveBack()
    throw error
  }
  return giveBack
}

const isSpent = (error: unknown): boolean => error instanceof PolyVeilError && error.code === 'FORBIDDEN'
