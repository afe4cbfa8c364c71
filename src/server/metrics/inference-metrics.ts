import type { Counter, Histogram, Registry } from 'prom-client'
import type { EngineStage } from '../inference/engine.ts'
import { counter, seconds } from './instruments.ts'

/** Operations of a circuit by their kind. */
export type OperationCounts = Readonly<Record<string, number>>

/** Stages of an inference: those on the engine, and the sending of an output to the client. */
export type InferenceStage = EngineStage | 'send'

const STAGES_HELP =
  'Time of inferences by stage: queue, load (keys and circuit), compute, client (waiting for it), once for each ' +
  'inference; send, once for each output'

/** Metrics of inferences, by model. */
export class InferenceMetrics {
  readonly #seconds: Histogram<'model'>
  readonly #stages: Histogram<'model' | 'stage'>
  readonly #outcomes: Counter<'model' | 'outcome'>
  readonly #operations: Counter<'model' | 'kind'>
  readonly #rounds: Counter<'model'>
  readonly #refreshBytes: Counter<'model' | 'direction'>
  readonly #queryBytes: Counter<'model'>
  readonly #answerBytes: Counter<'model'>
  /** Operations of the circuits that workers have opened, by the digests of their files. */
  readonly #operationsOf = new Map<string, OperationCounts>()

  constructor(registry: Registry) {
    const byModel = ['model'] as const
    this.#seconds = seconds(
      registry,
      {
        name: 'polyveil_inference_seconds',
        help: 'Time of successful inferences, waiting included',
        labelNames: byModel,
      },
      [0.5, 1, 2, 5, 10, 20, 60, 180, 600],
    )
    this.#stages = seconds(
      registry,
      { name: 'polyveil_inference_stage_seconds', help: STAGES_HELP, labelNames: ['model', 'stage'] },
      [0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 60, 180, 600],
    )
    this.#outcomes = counter(registry, {
      name: 'polyveil_inferences_total',
      help: 'Inferences by outcome: ok or an error code',
      labelNames: ['model', 'outcome'],
    })
    this.#operations = counter(registry, {
      name: 'polyveil_operations_total',
      help: 'Encrypted operations of successful inferences, by kind, such as rotate',
      labelNames: ['model', 'kind'],
    })
    this.#rounds = counter(registry, {
      name: 'polyveil_refresh_rounds_total',
      help: 'Refresh rounds that clients have answered',
      labelNames: byModel,
    })
    this.#refreshBytes = counter(registry, {
      name: 'polyveil_refresh_bytes_total',
      help: 'Bytes of refresh rounds: down to clients, up from them',
      labelNames: ['model', 'direction'],
    })
    this.#queryBytes = counter(registry, {
      name: 'polyveil_query_bytes_total',
      help: 'Bytes of encrypted images that were taken',
      labelNames: byModel,
    })
    this.#answerBytes = counter(registry, {
      name: 'polyveil_answer_bytes_total',
      help: 'Bytes of encrypted logits that were computed',
      labelNames: byModel,
    })
  }

  queryReceived(model: string, bytes: number): void {
    this.#queryBytes.inc({ model }, bytes)
  }

  answerComputed(model: string, bytes: number): void {
    this.#answerBytes.inc({ model }, bytes)
  }

  refreshSent(model: string, bytes: number): void {
    this.#refreshBytes.inc({ model, direction: 'down' }, bytes)
  }

  replyReceived(model: string, bytes: number): void {
    this.#rounds.inc({ model })
    this.#refreshBytes.inc({ model, direction: 'up' }, bytes)
  }

  /** Notes the operations of a circuit. @param digest of its file */
  opened(digest: string, operations: OperationCounts): void {
    this.#operationsOf.set(digest, operations)
  }

  stage(model: string, stage: InferenceStage, duration: number): void {
    this.#stages.observe({ model, stage }, duration)
  }

  /** @param outcome ok, or an error code */
  ended({ name: model, digest }: { name: string; digest: string }, outcome: string, duration: number): void {
    this.#outcomes.inc({ model, outcome })
    if (outcome !== 'ok') return
    this.#seconds.observe({ model }, duration)
    for (const [kind, count] of Object.entries(this.#operationsOf.get(digest) ?? {})) {
      this.#operations.inc({ model, kind }, count)
    }
  }
}
