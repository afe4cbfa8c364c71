import type { Counter, Gauge, Registry } from 'prom-client'
import { FREED_REASONS, type WorkerMemory, type WorkerNotice } from '../worker/messages.ts'
import type { WorkerObserver } from '../worker/pool.ts'
import type { InferenceMetrics } from './inference-metrics.ts'
import { counter, gauge } from './instruments.ts'

/** Parts of a worker's engine memory. */
const PARTS = ['keys', 'constants', 'programs'] as const

/** Metrics of workers. Workers go by numbers from 0 on. */
export class WorkerMetrics implements WorkerObserver {
  readonly #inferences: InferenceMetrics
  readonly #hits: Counter
  readonly #loads: Counter
  readonly #evictions: Counter<'reason'>
  readonly #lost: Counter<'task'>
  readonly #memory: Gauge<'worker' | 'part'>
  readonly #used: Gauge<'worker'>
  readonly #limit: Gauge<'worker'>

  /** @param inferences gets the operations of the circuits that workers open */
  constructor(registry: Registry, inferences: InferenceMetrics) {
    this.#inferences = inferences
    this.#hits = counter(registry, {
      name: 'polyveil_key_cache_hits_total',
      help: 'Inferences that found their keys and circuit loaded in their worker',
    })
    this.#loads = counter(registry, {
      name: 'polyveil_key_cache_loads_total',
      help: 'Loads of keys and circuit into a worker',
    })
    this.#evictions = counter(registry, {
      name: 'polyveil_key_cache_evictions_total',
      help: 'Key sets that a worker has freed: for the room (room), deleted ones (deleted), after a failed load (failed)',
      labelNames: ['reason'],
    })
    this.#lost = counter(registry, {
      name: 'polyveil_workers_lost_total',
      help: 'Threads that ended unexpectedly, by their task: inference or key_check',
      labelNames: ['task'],
    })
    this.#memory = gauge(registry, {
      name: 'polyveil_engine_memory_bytes',
      help: "Memory of a worker's engine, by part: keys, constants, programs",
      labelNames: ['worker', 'part'],
    })
    this.#used = gauge(registry, {
      name: 'polyveil_engine_used_bytes',
      help: "Memory that a worker's engine has taken, tables and constants without a session included",
      labelNames: ['worker'],
    })
    this.#limit = gauge(registry, {
      name: 'polyveil_engine_limit_bytes',
      help: "Most memory of a worker's engine",
      labelNames: ['worker'],
    })
    // Alerts on an increase need the first value, too.
    for (const reason of FREED_REASONS) this.#evictions.inc({ reason }, 0)
    for (const task of ['inference', 'key_check']) this.#lost.inc({ task }, 0)
  }

  onNotice(worker: number, notice: WorkerNotice): void {
    switch (notice.kind) {
      case 'session opened':
        this.#loads.inc()
        this.#inferences.opened(notice.digest, notice.operations)
        break
      case 'session reused':
        this.#hits.inc()
        break
      case 'keys freed':
        this.#evictions.inc({ reason: notice.reason })
        break
      case 'memory':
        this.#note(worker, notice.memory)
    }
  }

  onLost(worker?: number): void {
    this.#lost.inc({ task: worker === undefined ? 'key_check' : 'inference' })
    if (worker === undefined) return
    for (const part of PARTS) this.#memory.remove({ worker, part })
    this.#used.remove({ worker })
    this.#limit.remove({ worker })
  }

  #note(worker: number, memory: WorkerMemory): void {
    for (const part of PARTS) this.#memory.set({ worker, part }, memory[part])
    this.#used.set({ worker }, memory.used)
    this.#limit.set({ worker }, memory.limit)
  }
}
