import { PolyVeilError } from '../../errors/index.ts'
import {
  type EngineStage,
  InferenceCancelled,
  type InferenceEngine,
  type InferenceJob,
} from '../inference/engine.ts'
import type { NewQuery } from '../inference/host.ts'
import type { Inference } from '../inference/inference.ts'
import type { InferenceRegistry } from '../inference/registry.ts'
import { conflict, HttpError } from '../problems/http-error.ts'
import { loggedName } from '../stores/store-log.ts'
import { type BudgetServices, giveBackImages, takeImages } from './take-images.ts'

/** What queries are run with. */
export interface QueryServices extends BudgetServices {
  readonly engine: Pick<InferenceEngine, 'infer'>
  readonly inferences: Pick<InferenceRegistry, 'end'>
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
  services: QueryServices,
  query: NewQuery,
  inference: Inference,
  onStage: (stage: EngineStage) => void,
): Promise<Uint8Array> {
  const { engine, inferences } = services
  // The circuit's file may be replaced while the inference waits for its turn.
  const letGo = query.model.file?.hold()
  let { taken } = query
  try {
    taken ??= await takeImages(services, query)
    using stored = await query.keys.locate()
    const keys = { name: query.keys.name, location: stored.location }
    const onRestart = (err: unknown): void => {
      query.request.log.warn({ err, inference: inference.id }, 'An inference begins again on another worker')
    }
    const answer = await engine.infer({ ...jobOf(query, inference), keys, onStage, onRestart })
    inferences.end(inference, 'done')
    logEnd(query, inference, 'ok')
    return answer
  } catch (error) {
    const isCancelled = error instanceof InferenceCancelled
    // What follows may fail, and the inference has ended all the same.
    inferences.end(inference, isCancelled ? 'cancelled' : 'failed')
    logEnd(query, inference, outcomeOf(error))
    if (isOwnFault(error, inference)) await giveBackImages(services, query, taken)
    await discardDamaged(query, error)
    if (isCancelled) throw conflict('INFERENCE_UNKNOWN', inference.cancelReason, { id: inference.id })
    throw error
  } finally {
    letGo?.()
  }
}

function jobOf(query: NewQuery, inference: Inference): Omit<InferenceJob, 'keys' | 'onStage' | 'onRestart'> {
  const { model, frame, request } = query
  const { caller } = request.audited
  const whose = {
    owner: caller.network,
    mostOfOwner: caller.quota.inferences,
    silence: () => inference.idleTimer.silence,
    evict: () => inference.evict(),
  }
  const onProgress = (done: number, total: number): void => inference.progress(done, total)
  const { signal } = inference
  const { client } = inference.rounds
  return { model, frame, signal, whose, onProgress, client }
}

function outcomeOf(error: unknown): string {
  if (error instanceof InferenceCancelled) return 'cancelled'
  return error instanceof PolyVeilError ? error.code : 'INTERNAL'
}

/** Logs how an inference ended: `outcome` is ok, cancelled, or an error code. */
function logEnd({ keys, request }: NewQuery, inference: Inference, outcome: string): void {
  const { id, model, round, rounds, seconds } = inference.snapshot
  request.log.info(
    { inference: id, model, keySet: loggedName(keys.name), outcome, round, rounds, seconds },
    'An inference ended',
  )
}

/**
 * Deletes a key set that a worker found damaged, so that no later query meets it. The client gets the error
 * of its query, also when that fails.
 */
async function discardDamaged({ keys, request: { log } }: NewQuery, error: unknown): Promise<void> {
  if (!isDamaged(error)) return
  try {
    await keys.discard()
  } catch (err) {
    log.error({ err, keySet: loggedName(keys.name) }, 'A damaged key set could not be deleted')
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
