/** The link between client and server. */
export interface Link {
  readonly roundTripMs: number
  readonly megabitsPerSecond: number
}

/** Both on one machine, where nothing else is said. */
export const LOCAL_LINK: Link = Object.freeze({ roundTripMs: 1, megabitsPerSecond: 1000 })

/**
 * Seconds of one core for one prime of one ciphertext at N = 8192: on the client decryption, lifting and
 * encryption, on the server re-randomisation, masking and loading; on both frames and their digests.
 * Measured; half of both is the expansion of seeds. docs/refresh.md has what goes where.
 */
const CLIENT_SECONDS = 1.6e-4
const SERVER_SECONDS = 2e-4
const REFERENCE_RING = 8192

/** What all refreshes of a circuit cost. */
export interface RefreshCost {
  /** Client, server and network, one after the other: how much of it overlaps depends on the machines. */
  readonly seconds: number
  readonly bytes: number
}

/**
 * @param cuts places where everything waits for values to come back
 * @param ciphertexts that are refreshed there, all together
 * @param upBits log2 of the modulus at which ciphertexts come back, one polynomial each
 * @param downBits log2 of the modulus at which they go, two polynomials each
 * @param primes number of all data primes
 */
export function refreshCost(
  { cuts, ciphertexts }: { cuts: number; ciphertexts: number },
  { ring, primes, upBits, downBits }: { ring: number; primes: number; upBits: number; downBits: number },
  link: Link,
): RefreshCost {
  const bytes = (ciphertexts * ring * (upBits + 2 * downBits)) / 8
  const work = ciphertexts * primes * (ring / REFERENCE_RING) * (CLIENT_SECONDS + SERVER_SECONDS)
  const waiting = (cuts * link.roundTripMs) / 1000 + (8 * bytes) / (1e6 * link.megabitsPerSecond)
  return { seconds: work + waiting, bytes }
}
