import type { Redis, RedisOptions } from 'ioredis'
import type { Logger } from 'pino'
import { PolyVeilError } from '../../../errors/index.ts'
import { shownAddress } from '../../addresses/shown-address.ts'
import { RedisCalls, type Script } from './redis-calls.ts'

const MOST_RECONNECT_MILLISECONDS = 2000

export type RedisLog = Pick<Logger, 'info' | 'warn' | 'error'>

/**
 * The Redis, or Valkey, that the processes of a service share. All names begin with one prefix, so that
 * several services can use one Redis.
 */
export class SharedRedis {
  readonly #url: string
  readonly #prefix: string
  readonly #log: RedisLog
  readonly #Connection: typeof Redis
  readonly #connections = new Set<Redis>()
  readonly #calls: RedisCalls<Redis>
  /** For short commands. They fail at once while Redis is away. */
  readonly commands: Redis

  private constructor(Connection: typeof Redis, url: string, prefix: string, log: RedisLog) {
    this.#Connection = Connection
    this.#url = url
    this.#prefix = prefix
    this.#log = log
    this.commands = this.connect({
      maxRetriesPerRequest: 1,
      enableOfflineQueue: false,
      lazyConnect: true,
    })
    this.#calls = new RedisCalls(this.commands)
  }

  /**
   * Connects to Redis.
   *
   * @param url redis://HOST:PORT/DATABASE, rediss:// for TLS, with a user and a password where needed
   * @throws CONFIG_INVALID when the package ioredis is not installed, or Redis cannot be reached
   */
  static async open(url: string, prefix: string, log: RedisLog): Promise<SharedRedis> {
    const { Redis } = await loadPackage('ioredis', () => import('ioredis'))
    const redis = new SharedRedis(Redis, url, prefix, log)
    try {
      await redis.commands.connect()
      await redis.commands.ping()
      return redis
    } catch (cause) {
      redis.close()
      throw unreachable(url, cause)
    }
  }

  /** A name within the prefix. Its parts are joined by colons. */
  name(...parts: readonly string[]): string {
    return [this.#prefix, ...parts].join(':')
  }

  /** A further connection; by default one whose commands wait until Redis is there again. */
  connect(options: RedisOptions = {}): Redis {
    const connection = new this.#Connection(this.#url, {
      maxRetriesPerRequest: null,
      retryStrategy: (times) => Math.min(50 * 2 ** times, MOST_RECONNECT_MILLISECONDS),
      ...options,
    })
    this.#connections.add(connection)
    let isAway = false
    connection.on('error', (err) => {
      if (!isAway) this.#log.error({ err: withoutUrl(err) }, 'Redis cannot be reached')
      isAway = true
    })
    connection.on('ready', () => {
      if (isAway) this.#log.info('Redis can be reached again')
      isAway = false
    })
    connection.once('end', () => this.#connections.delete(connection))
    return connection
  }

  get isConnected(): boolean {
    return this.commands.status === 'ready'
  }

  /** Runs commands. @throws TOO_BUSY (503) when Redis does not take them */
  run<T>(action: (commands: Redis) => Promise<T>): Promise<T> {
    return this.#calls.ask(action)
  }

  /** Runs a script, whose only key is `key`. @throws TOO_BUSY (503) when Redis does not take it */
  script(script: Script, key: string, args: readonly (string | number)[]): Promise<unknown> {
    return this.#calls.run(script, key, args)
  }

  /** Ends all connections. */
  close(): void {
    for (const connection of this.#connections) connection.disconnect()
  }
}

/** @throws CONFIG_INVALID when an optional package is not installed */
export async function loadPackage<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `A service on several machines needs the package ${name}, which is not installed`,
      { package: name },
      { cause, remedy: 'Install it beside polyveil: npm install bullmq ioredis' },
    )
  }
}

const unreachable = (url: string, cause: unknown): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `Redis at ${shownAddress(url)} cannot be used (${reasonOf(cause)})`,
    { setting: 'redis' },
    { cause, remedy: 'Start it, and check the address, the user and the password of the setting redis.' },
  )

const reasonOf = (cause: unknown): string => {
  const { code, message } = cause as NodeJS.ErrnoException
  return code ?? message
}

/** Errors of ioredis have no address, but those of Node may. */
const withoutUrl = ({ name, message }: Error): { name: string; message: string } => ({ name, message })
