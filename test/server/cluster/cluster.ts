import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { writeCircuit } from '../../../src/circuit/format/file.ts'
import { readConfig, type ServerConfig, type ServerOverrides } from '../../../src/server/config.ts'
import {
  type RunningProcess,
  type RunningServer,
  startServer,
  startWorker,
} from '../../../src/server/start.ts'
import { RedisServer } from '../../support/redis.ts'
import { circuit } from '../refreshed-service.ts'

/** A cluster of this process: HTTP processes and worker processes that share a Redis and a directory. */
export class TestCluster {
  readonly redis: RedisServer
  readonly directory: string
  readonly #overrides: ServerOverrides
  readonly #running = new Set<RunningProcess>()

  private constructor(redis: RedisServer, directory: string, overrides: ServerOverrides) {
    this.redis = redis
    this.directory = directory
    this.#overrides = overrides
  }

  /** Starts a Redis alone. */
  static async start(t: Test, overrides: ServerOverrides = {}): Promise<TestCluster> {
    const directory = t.testdir()
    await writeFile(join(directory, `${circuit.model}.pvc`), writeCircuit(circuit))
    const cluster = new TestCluster(await RedisServer.start(), directory, overrides)
    t.teardown(() => cluster.close())
    return cluster
  }

  /** Settings of a process of the cluster. */
  get settings(): ServerOverrides {
    return {
      modelsDir: this.directory,
      dataDir: join(this.directory, 'data'),
      redis: this.redis.url,
      port: 0,
      threads: 1,
      inferencesPerWorker: 1,
      maxEventLoopDelayMs: 0,
      logLevel: 'silent',
      shutdownSeconds: 1,
      ...this.#overrides,
    }
  }

  async front(overrides: ServerOverrides = {}): Promise<RunningServer> {
    return this.#keep(await startServer(await this.#config(overrides)))
  }

  async worker(overrides: ServerOverrides = {}): Promise<RunningProcess> {
    return this.#keep(await startWorker(await this.#config(overrides)))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map((each) => each.close()))
    await this.redis.close()
  }

  #config(overrides: ServerOverrides): Promise<ServerConfig> {
    return readConfig({ overrides: { ...this.settings, ...overrides } })
  }

  #keep<Running extends RunningProcess>(running: Running): Running {
    this.#running.add(running)
    const close = async (): Promise<void> => {
      this.#running.delete(running)
      await running.close()
    }
    return { ...running, close }
  }
}
