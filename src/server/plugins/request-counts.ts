/** Requests of one caller in the window that began at `begun`. */
interface Count {
  current: number
  begun: number
  isRefused: boolean
}

/** Addresses that are counted at once; the window of the oldest is the first to end. */
const MOST_ADDRESSES = 50_000

/** Gets how many requests a caller has made in the window, and the milliseconds until its end. */
export type Counted = (error: Error | null, result?: { current: number; ttl: number }) => void

/** Where requests are counted. */
export interface RequestStore {
  /** Counts a request. Fastify's plugin calls this. @param window in milliseconds */
  incr(key: string, done: Counted, window: number): void
  /** Fastify's plugin asks for a store for each route that has options of its own. */
  child(): RequestStore
  /** Notes that a request was refused. @returns whether it is the first one in the window */
  refuse(key: string): boolean
}

/**
 * The counts of the rate limit, as its plugin uses them. All routes share one store, so that a request
 * counts the same wherever it goes. The store of the plugin itself keeps the latest 5000 callers, tenants
 * among them, whose counts requests from many addresses would so begin anew.
 */
export class RequestCounts implements RequestStore {
  readonly #isTenant: (key: string) => boolean
  readonly #now: () => number
  readonly #tenants = new Map<string, Count>()
  readonly #addresses = new Map<string, Count>()

  /**
   * @param isTenant whether the key is one of the tenants, whose number is small
   * @param now milliseconds; by default of a clock that is never set back, which would lengthen the windows
   */
  constructor(isTenant: (key: string) => boolean, now: () => number = () => performance.now()) {
    this.#isTenant = isTenant
    this.#now = now
  }

  incr(key: string, done: Counted, window: number): void {
    const counts = this.#isTenant(key) ? this.#tenants : this.#addresses
    const now = this.#now()
    let count = counts.get(key)
    if (count === undefined || now >= count.begun + window) {
      // Set anew, the key is the last one of the map.
      counts.delete(key)
      count = { current: 0, begun: now, isRefused: false }
      counts.set(key, count)
      this.#limitAddresses()
    }
    count.current++
    done(null, { current: count.current, ttl: count.begun + window - now })
  }

  child(): this {
    return this
  }

  refuse(key: string): boolean {
    const count = this.#tenants.get(key) ?? this.#addresses.get(key)
    if (count === undefined || count.isRefused) return false
    count.isRefused = true
    return true
  }

  #limitAddresses(): void {
    if (this.#addresses.size <= MOST_ADDRESSES) return
    const [oldest] = this.#addresses.keys()
    this.#addresses.delete(oldest)
  }
}
