import { PolyVeilError } from '../../errors/index.ts'
import { inferenceResponse } from '../inference/binary-body.ts'
import type { InferenceEngine } from '../inference/engine.ts'
import type {
  BegunInference,
  HostedInference,
  InferenceClient,
  InferenceHost,
  InferenceUnderWay,
  NewQuery,
} from '../inference/host.ts'
import type { Inference, InferenceMoment } from '../inference/inference.ts'
import { type InferenceTimes, inferenceLimits } from '../inference/limits.ts'
import { InferenceRegistry } from '../inference/registry.ts'
import type { SentAnswer } from '../inference/reply-cache.ts'
import type { EngineOutput } from '../inference/round-mailbox.ts'
import { InferenceWatch } from '../metrics/inference-watch.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { ServedModel } from '../models/catalogue.ts'
import { type QueryServices, runQuery } from './run-query.ts'

export interface LocalHostServices extends QueryServices {
  readonly inferences: InferenceRegistry
  readonly metrics: Metrics
}

/** Runs inferences on the engine of this process. */
export class LocalHost implements InferenceHost {
  readonly #services: LocalHostServices

  constructor(services: LocalHostServices) {
    this.#services = services
  }

  get running(): number {
    return this.#services.inferences.running
  }

  get unfetched(): number {
    return this.#services.inferences.unfetched
  }

  async begin(query: NewQuery): Promise<BegunInference> {
    const { inferences, metrics } = this.#services
    const { model, keys, request, isAsync } = query
    const watch = new InferenceWatch(metrics, model, request)
    const inference = inferences.begin({
      id: query.id,
      model: model.name,
      client: { tenant: request.audited.caller.tenant, keySet: keys.name },
      rounds: model.manifest.rounds,
      isAsync,
      encode: encoder(metrics, model),
      onSending: watch.onSending,
    })
    const logits = watch.follow(() => runQuery(this.#services, query, inference, watch.onStage))
    const first = inference.rounds.begin(logits)
    if (!isAsync) {
      first.then(
        ({ body }) => inference.sends(0, body.length),
        () => {},
      )
    }
    return { inference: new LocalInference(inference, metrics), first }
  }

  async find(client: InferenceClient, id: string): Promise<HostedInference | undefined> {
    const inference = this.#services.inferences.find(client, id)
    return inference && new LocalInference(inference, this.#services.metrics)
  }

  async underWay(): Promise<readonly InferenceUnderWay[]> {
    return this.#services.inferences.underWay
  }

  async stop(handle: string, reason: string): Promise<boolean> {
    return this.#services.inferences.stop(handle, reason)
  }

  stopUnanswered(): void {
    this.#services.inferences.cancelUnanswered()
  }

  stopAll(): void {
    this.#services.inferences.cancelAll()
  }
}

/**
 * Encodes outputs. Inferences keep it when they have ended, so it is made where the query is not: a closure
 * keeps all that its function has.
 */
const encoder =
  (metrics: Metrics, model: ServedModel) =>
  ({ id }: Pick<Inference, 'id'>, output: EngineOutput): SentAnswer => {
    const bytes = output.frame.length
    if (output.kind === 'refresh') metrics.inferences.refreshSent(model.name, bytes)
    else metrics.inferences.answerComputed(model.name, bytes)
    return inferenceResponse(model, id, output)
  }

/** Makes a host from the rest of what it uses. */
export const localHost =
  (engine: InferenceEngine, times?: InferenceTimes) =>
  (parts: Pick<LocalHostServices, 'budget' | 'audit' | 'metrics'>): LocalHost =>
    new LocalHost({ ...parts, engine, inferences: new InferenceRegistry(inferenceLimits(times)) })

/** Requests of one inference at once: a client fetches a round while it replies to others. */
const MOST_AT_ONCE = 16

/** An inference of this process. */
class LocalInference implements HostedInference {
  readonly #inference: Inference
  readonly #metrics: Metrics

  constructor(inference: Inference, metrics: Metrics) {
    this.#inference = inference
    this.#metrics = metrics
  }

  get id(): string {
    return this.#inference.id
  }

  moment(after?: number): Promise<InferenceMoment> {
    return this.#inference.moment(after)
  }

  async enter(): Promise<() => void> {
    const { idleTimer } = this.#inference
    if (idleTimer.present < MOST_AT_ONCE) return idleTimer.enter()
    throw new PolyVeilError(
      'TOO_BUSY',
      `${idleTimer.present} requests for rounds of this inference are open`,
      { retryAfter: 1 },
    )
  }

  async takeFreeRequest(): Promise<boolean> {
    return this.#inference.takeFreeRequest()
  }

  async output(number: number): Promise<SentAnswer> {
    const { snapshot, cancelReason, rounds } = this.#inference
    // Clients can fetch outputs of a running inference, and for a while of one that is done. One that has
    // failed gives its error instead.
    if (snapshot.state === 'cancelled') throw new PolyVeilError('INFERENCE_UNKNOWN', cancelReason)
    const answer = await rounds.wait(number)
    this.#inference.sends(number, answer.body.length)
    return answer
  }

  async reply(round: number, body: Uint8Array): Promise<void> {
    const { rounds, running, model } = this.#inference
    const repeated = rounds.isRepeated(round, body)
    if (!repeated && !running) throw new PolyVeilError('INFERENCE_UNKNOWN', 'The inference has ended')
    await rounds.reply(round, body)
    if (!repeated) this.#metrics.inferences.replyReceived(model, body.length)
  }

  receives(bytes: number): void {
    this.#inference.idleTimer.receives(bytes)
  }

  async cancel(): Promise<void> {
    this.#inference.cancel()
  }

  async stop(reason: string): Promise<void> {
    this.#inference.stop(reason)
  }

  onSending(): () => void {
    return this.#inference.onSending()
  }
}
