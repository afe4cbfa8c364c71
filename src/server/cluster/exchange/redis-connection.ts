/**
 * A connection of Redis: the part of ioredis's `Redis` that shared key sets use. The published types name it
 * in place of `Redis`, since programs without ioredis have them compiled, too.
 */
export interface RedisConnection {
  eval(text: string, keys: number, ...args: (string | number)[]): Promise<unknown>
  evalsha(sha: string, keys: number, ...args: (string | number)[]): Promise<unknown>
  /** Sets a value that expires, unless there is one. @returns null when there is one */
  set(key: string, value: string, px: 'PX', milliseconds: number, nx: 'NX'): Promise<string | null>
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>
  zrange(key: string, start: number, stop: number): Promise<string[]>
  zrangebyscore(
    key: string,
    min: string,
    max: number,
    limit: 'LIMIT',
    offset: number,
    count: number,
  ): Promise<string[]>
  subscribe(channel: string): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  /** A further connection to the same server. */
  duplicate(options: {
    readonly maxRetriesPerRequest: null
    readonly enableOfflineQueue: boolean
    readonly lazyConnect: boolean
  }): RedisConnection
  disconnect(reconnect?: boolean): void
}
