export interface KeyStoreLimits {
  readonly ttlMilliseconds: number
  readonly maxSets: number
  /** Largest key set. */
  readonly maxSetBytes: number
  /** Limit on all key sets together; each counts in full from its announcement. */
  readonly maxTotalBytes: number
  /**
   * Time after the announcement or the last part when an incomplete set expires; by default five minutes.
   * Parts that are too slow all together do not prolong it.
   */
  readonly uploadMilliseconds?: number
  /** Incomplete sets of one owner; by default 4. */
  readonly maxUploadsPerOwner?: number
  /** Complete sets of one owner, by default 16. A further set replaces the least recently used. */
  readonly maxSetsPerOwner?: number
  /** Complete sets of an owner that has another limit. */
  readonly setsOf?: (owner: string) => number | undefined
  /**
   * Bytes of one owner's complete sets, by default half of `maxTotalBytes`; the least recently used are
   * replaced.
   */
  readonly maxBytesPerOwner?: number
}

/** Limits with their defaults. */
export type AllLimits = Required<Omit<KeyStoreLimits, 'setsOf'>> & Pick<KeyStoreLimits, 'setsOf'>

const DEFAULTS = { uploadMilliseconds: 300_000, maxUploadsPerOwner: 4, maxSetsPerOwner: 16 }

export const withDefaults = (limits: KeyStoreLimits): AllLimits => ({
  ...DEFAULTS,
  maxBytesPerOwner: limits.maxTotalBytes / 2,
  ...limits,
})
