/** The link between client and server. */
export interface Link {
  readonly roundTripMs: number
  readonly megabitsPerSecond: number
}

/** The default link: client and server on one machine. */
export const LOCAL_LINK: Link = Object.freeze({ roundTripMs: 1, megabitsPerSecond: 1000 })

/**
 * Measured seconds of one core for one prime of one ciphertext at N = 8192. The client decrypts, converts the
 * base and encrypts. The server re-randomises, masks and loads. Both handle frames and their digests. Half of
 * both figures is the expansion of seeds. docs/deep-networks.md has the details.
 */
const CLIENT_SECONDS = 1.6e-4
const SERVER_SECONDS = 2e-4
const REFERENCE_RING = 8192

/** Cost of all refreshes of a circuit. */
export interface RefreshCost {
  /** Sum over client, server and network. How much of it overlaps depends on the machines. */
  readonly seconds: number
  readonly bytes: number
}

/**
 * Estimates the cost of a circuit's refreshes.
 *
 * @param cuts number of places where the computation waits for refreshed values
 * @param ciphertexts number of all refreshed ciphertexts
 * @param upBits log2 of the modulus of ciphertexts from the client, one polynomial each
 * @param downBits log2 of the modulus of ciphertexts to the client, two polynomials each
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
