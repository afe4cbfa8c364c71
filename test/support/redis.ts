import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { Redis, type RedisOptions } from 'ioredis'
import { freePort } from './free-port.ts'

/** Programs that can serve the protocol, in the order in which they are tried. */
const PROGRAMS = ['redis-server', 'valkey-server']

const program = PROGRAMS.find((name) => spawnSync(name, ['--version']).status === 0)

/**
 * Option of a test that needs Redis: `t.test(name, needsRedis, ...)` skips it where no server is installed.
 */
export const needsRedis = {
  skip:
    program === undefined &&
    `The test needs ${PROGRAMS.join(' or ')}; install the Debian package redis-server`,
}

/** A Redis of its own in a child process, which keeps nothing on the disk. */
export class RedisServer implements AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly #connections: Redis[] = []
  #process: ChildProcess | undefined

  private constructor(port: number) {
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  /** Starts a server on a free port. It answers when this returns. */
  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort())
    await server.start()
    return server
  }

  /** Starts the server again after `kill`, without its data. It answers when this returns. */
  async start(): Promise<void> {
    if (program === undefined) throw new Error(needsRedis.skip as string)
    const options = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    const child = spawn(program, ['--port', String(this.port), ...options], { stdio: 'ignore' })
    this.#process = child
    const failed = once(child, 'exit').then(([code]) => {
      throw new Error(`${program} ended with ${code}`)
    })
    await Promise.race([this.#answers(), failed])
    failed.catch(() => {})
  }

  /** A connection that ends with the server. It does not log that the server is away. */
  connect(options: RedisOptions = {}): Redis {
    const connection = new Redis(this.port, '127.0.0.1', options)
    connection.on('error', () => {})
    this.#connections.push(connection)
    return connection
  }

  /** Ends the server at once, as a fault of its machine would. Connections stay, and try again. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }

  /** Has the server stand still, as a machine does that swaps. */
  stop(): void {
    this.#process?.kill('SIGSTOP')
  }

  goOn(): void {
    this.#process?.kill('SIGCONT')
  }

  /** Ends the server and its connections. */
  async close(): Promise<void> {
    for (const connection of this.#connections) connection.disconnect()
    await this.kill()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #answers(): Promise<void> {
    const connection = this.connect({ maxRetriesPerRequest: null, retryStrategy: () => 50 })
    await connection.ping()
    connection.disconnect()
  }
}
