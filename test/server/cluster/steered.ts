import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { InjectOptions } from 'fastify'
import type { Test } from 'tap'
import { writeCircuit } from '../../../src/circuit/format/file.ts'
import { auditTo } from '../../../src/server/access/audit.ts'
import { openWorkerOn } from '../../../src/server/cluster/worker/worker-process.ts'
import { readConfig, type ServerConfig, type ServerOverrides } from '../../../src/server/config.ts'
import { Intake } from '../../../src/server/inference/intake.ts'
import { Metrics } from '../../../src/server/metrics/metrics.ts'
import { ModelDirectory } from '../../../src/server/models/model-directory.ts'
import { createLogger } from '../../../src/server/plugins/logging.ts'
import { ScheduledEngine } from '../../../src/server/scheduling/scheduled-engine.ts'
import { startServer } from '../../../src/server/start.ts'
import { RedisServer } from '../../support/redis.ts'
import { circuit, type Harness, SteeredEngine, UNLIMITED } from '../support.ts'

/** An HTTP process that a test sends requests to. */
export interface Front extends Pick<Harness, 'inject'> {
  readonly url: string
  readonly managementUrl: string | undefined
  close(): Promise<void>
}

/** A worker process in this one, whose inferences the test steers. */
export interface SteeredWorker {
  readonly engine: SteeredEngine
  readonly intake: Intake
  /** Takes no more inferences, and leaves to others what waits. */
  pause(): Promise<void>
  close(): Promise<void>
}

/** A cluster in this process, with workers that have no encryption. It serves the small model. */
export class SteeredCluster {
  readonly redis: RedisServer
  readonly directory: string
  readonly #overrides: ServerOverrides
  readonly #open = new Set<{ close(): Promise<void> }>()

  private constructor(redis: RedisServer, directory: string, overrides: ServerOverrides) {
    this.redis = redis
    this.directory = directory
    this.#overrides = overrides
  }

  static async start(t: Test, overrides: ServerOverrides = {}): Promise<SteeredCluster> {
    const directory = t.testdir()
    await writeFile(join(directory, 'small.pvc'), writeCircuit(circuit))
    const cluster = new SteeredCluster(await RedisServer.start(), directory, overrides)
    t.teardown(async () => {
      await Promise.all([...cluster.#open].map((each) => each.close()))
      await cluster.redis.close()
    })
    return cluster
  }

  async front(overrides: ServerOverrides = {}): Promise<Front> {
    const server = await startServer(await this.#config(overrides))
    const front = {
      url: server.url,
      managementUrl: server.managementUrl,
      inject: (request: InjectOptions) => server.app.inject(request),
      close: async () => {
        this.#open.delete(front)
        await server.close()
      },
    }
    this.#open.add(front)
    return front
  }

  /** @param places inferences that it computes for at once */
  async worker(places = 1): Promise<SteeredWorker> {
    const logger = createLogger('silent')
    const config = await this.#config({ inferencesPerWorker: places })
    const directory = await ModelDirectory.open(this.directory)
    const audit = auditTo(logger)
    const metrics = new Metrics()
    const engine = new SteeredEngine(1)
    const scheduled = new ScheduledEngine(engine, { ...UNLIMITED, placesPerLane: places })
    const base = { config, directory, audit, tenants: undefined, metrics, logger }
    const parts = await openWorkerOn(base, scheduled)
    parts.host({ budget: parts.budget, audit, metrics })
    parts.keys.watch((name) => scheduled.forgetKeys(name))
    const intake = new Intake()
    parts.open?.(intake)
    const worker = {
      engine,
      intake,
      pause: async () => parts.pause?.(),
      close: async () => {
        this.#open.delete(worker)
        await parts.pause?.()
        await parts.close()
        await directory.close()
      },
    }
    this.#open.add(worker)
    return worker
  }

  #config(overrides: ServerOverrides): Promise<ServerConfig> {
    return readConfig({
      overrides: {
        modelsDir: this.directory,
        dataDir: join(this.directory, 'data'),
        redis: this.redis.url,
        port: 0,
        threads: 1,
        maxEventLoopDelayMs: 0,
        logLevel: 'silent',
        shutdownSeconds: 1,
        ...this.#overrides,
        ...overrides,
      },
    })
  }
}
