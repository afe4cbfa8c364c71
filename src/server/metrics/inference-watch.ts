import { type Context, SpanStatusCode } from '@opentelemetry/api'
import { PolyVeilError } from '../../errors/index.ts'
import type { EngineStage } from '../inference/engine.ts'
import type { QueryRequest } from '../inference/host.ts'
import type { ServedModel } from '../models/catalogue.ts'
import { beginSpan, type Traced } from '../tracing.ts'
import type { Metrics } from './metrics.ts'

interface Stage {
  readonly name: EngineStage
  readonly begun: number
  readonly traced: Traced
}

/** Follows one inference through its stages, for metrics and traces. */
export class InferenceWatch {
  readonly #metrics: Metrics
  readonly #model: ServedModel
  readonly #tenant: string | undefined
  readonly #traced: Traced
  readonly #seconds = new Map<EngineStage, number>()
  #stage: Stage | undefined

  /** @param request with which the query came */
  constructor(metrics: Metrics, model: ServedModel, { audited, context }: QueryRequest) {
    this.#metrics = metrics
    this.#model = model
    this.#tenant = audited.caller.tenant
    const { name, version, manifest } = model
    this.#traced = beginSpan('inference', context, {
      'polyveil.model': name,
      'polyveil.model_version': String(version),
      'polyveil.rounds': manifest.rounds,
      'polyveil.images': manifest.batch,
      'polyveil.request_id': audited.id,
    })
  }

  /** Follows an inference from its arrival to its end, and notes how it ended. */
  async follow<T>(inference: () => Promise<T>): Promise<T> {
    const begun = performance.now()
    this.#begin('queue')
    let outcome = 'INTERNAL'
    try {
      const result = await inference()
      outcome = 'ok'
      return result
    } catch (error) {
      if (error instanceof PolyVeilError) outcome = error.code
      throw error
    } finally {
      this.#end(outcome, secondsSince(begun))
    }
  }

  /** Notes that a stage begins. */
  readonly onStage = (stage: EngineStage): void => {
    // Word of a worker may come after the end.
    if (this.#stage !== undefined && this.#stage.name !== stage) this.#begin(stage)
  }

  /** Notes that an output begins to be sent. @returns a function to call when it has been sent */
  readonly onSending = (): (() => void) => watchSending(this.#metrics, this.#model.name, this.#traced.context)

  #begin(name: EngineStage): void {
    this.#endStage()
    const traced = beginSpan(`inference.${name}`, this.#traced.context)
    this.#stage = { name, begun: performance.now(), traced }
  }

  #endStage(): void {
    if (this.#stage === undefined) return
    const { name, begun, traced } = this.#stage
    this.#seconds.set(name, (this.#seconds.get(name) ?? 0) + secondsSince(begun))
    traced.span.end()
    this.#stage = undefined
  }

  #end(outcome: string, duration: number): void {
    this.#endStage()
    const { inferences, tenants } = this.#metrics
    for (const [stage, each] of this.#seconds) inferences.stage(this.#model.name, stage, each)
    inferences.ended(this.#model, outcome, duration)
    if (outcome === 'ok') tenants.classified(this.#tenant, this.#model.manifest.batch)
    const { span } = this.#traced
    span.setAttribute('polyveil.outcome', outcome)
    if (outcome !== 'ok') span.setStatus({ code: SpanStatusCode.ERROR })
    span.end()
  }
}

/** Follows the sending of an output. @returns a function to call when it has been sent */
export function watchSending(metrics: Metrics, model: string, parent: Context): () => void {
  const begun = performance.now()
  const { span } = beginSpan('inference.send', parent)
  return () => {
    metrics.inferences.stage(model, 'send', secondsSince(begun))
    span.end()
  }
}

const secondsSince = (begun: number): number => (performance.now() - begun) / 1000
