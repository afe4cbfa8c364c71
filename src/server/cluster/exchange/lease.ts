import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { PolyVeilError } from '../../../errors/index.ts'
import { type RedisCalls, script } from './redis-calls.ts'

const LOOK_MILLISECONDS = 25
/** Renewals within the time of a lease, so that one that fails does not lose it. */
const RENEWALS = 3
const RETRY_SECONDS = 10

const RENEW = script(`
  if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
  return redis.call('pexpire', KEYS[1], ARGV[2])`)
const RELEASE = script(`
  if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
  return redis.call('del', KEYS[1])`)

export interface LeaseTimes {
  /** A lease that is not renewed, because its process has ended or stands still, is free after so long. */
  readonly leaseMilliseconds: number
  /** Longest time to wait for a lease that another process has. */
  readonly waitMilliseconds: number
}

/**
 * Runs an action under a lease: a key of Redis that frees itself when its process has ended. The lease is
 * renewed while the action runs. A process that stands still may lose it, and not notice: what the action
 * changes must be conditional on its token.
 *
 * @param action gets the token
 * @throws TOO_BUSY when another process has the lease for too long, or Redis is away
 */
export async function underLease<T>(
  calls: RedisCalls,
  key: string,
  { leaseMilliseconds, waitMilliseconds }: LeaseTimes,
  action: (token: string) => Promise<T>,
): Promise<T> {
  const token = randomBytes(12).toString('hex')
  const end = performance.now() + waitMilliseconds
  // A lease that cannot be given back now frees itself.
  const release = (): Promise<unknown> => calls.run(RELEASE, key, [token]).catch(() => {})
  while (!(await take(calls, key, token, leaseMilliseconds, release))) {
    if (performance.now() > end) throw tooLong()
    await sleep(LOOK_MILLISECONDS * (1 + Math.random()))
  }
  const renew = (): void => {
    // After one that fails there are others, until the lease is lost.
    calls.run(RENEW, key, [token, leaseMilliseconds]).catch(() => {})
  }
  const timer = setInterval(renew, leaseMilliseconds / RENEWALS)
  try {
    return await action(token)
  } finally {
    clearInterval(timer)
    await release()
  }
}

/** @returns whether the lease was free */
async function take(
  calls: RedisCalls,
  key: string,
  token: string,
  leaseMilliseconds: number,
  release: () => Promise<unknown>,
): Promise<boolean> {
  try {
    return (await calls.ask((redis) => redis.set(key, token, 'PX', leaseMilliseconds, 'NX'))) !== null
  } catch (error) {
    // The connection may still send the command when Redis is back, and this one after it.
    void release()
    throw error
  }
}

const tooLong = (): PolyVeilError =>
  new PolyVeilError('TOO_BUSY', 'Another request has been changing this key set for too long', {
    retryAfter: RETRY_SECONDS,
  })
