import { galoisKeyCount } from '../../../circuit/keys.ts'
import { ephemeralChain } from '../../../circuit/parameters/ephemeral.ts'
import {
  type CkksParameters,
  digitCount,
  type KeySwitchingChain,
} from '../../../circuit/parameters/parameters.ts'
import { bitLength } from '../../../circuit/parameters/primes.ts'
import { refreshRounds } from '../../../circuit/refresh.ts'
import type { Estimate } from '../../../circuit/types.ts'
import type { PlacedBytes } from '../../../schedule/far-storage.ts'
import type { CircuitBody } from '../../lowered-circuit.ts'
import type { Target } from './target.ts'

const SEED_BYTES = 64

/** The precision of the logits by the noise model. */
type Precision = Pick<Estimate, 'logitError' | 'isMeasured' | 'precisionBits'>

/** Estimated seconds of each of `layers` layers, in order. */
export function layerSeconds(circuit: CircuitBody, layers: number, { costs }: Target): number[] {
  const { ring, specialPrimes } = circuit.parameters
  const seconds = new Array<number>(layers).fill(0)
  const ofOps = costs({ ...circuit, ring, specialPrimes: specialPrimes.length })
  circuit.ops.forEach(({ layer }, id) => {
    seconds[layer] += ofOps[id]
  })
  return seconds
}

/**
 * Estimates seconds, bytes and memory of a circuit. Wire sizes leave out frame headers of some hundred bytes.
 *
 * @param secondsOfLayers as `layerSeconds` returns them; the circuit takes their sum
 * @param memory as the target states it
 */
export function estimateOf(
  circuit: CircuitBody,
  secondsOfLayers: readonly number[],
  precision: Precision,
  memory: PlacedBytes,
): Estimate {
  const { parameters, input, output, refresh } = circuit
  const { ring, primes } = parameters
  const galoisKeys = galoisKeyCount(circuit)
  const refreshed = refreshRounds(circuit).reduce((sum, ciphertexts) => sum + ciphertexts, 0)
  const packed = (level: number) => packedBytes(ring, primes.slice(0, level + 1))
  return {
    seconds: secondsOfLayers.reduce((sum, seconds) => sum + seconds, 0),
    ...precision,
    memoryBytes: memory.near + memory.far,
    bytes: {
      keys: keyBytes(parameters, galoisKeys),
      query: input.layout.ciphertexts * (packed(input.level) + SEED_BYTES),
      refreshUp: refreshed * (packed(parameters.topLevel) + SEED_BYTES),
      refreshDown: refresh ? refreshed * 2 * packed(refresh.level) : 0,
      response: 2 * packed(output.level),
    },
  }
}

/** The public key, one key switching key for each Galois key and for products, and those of raises. */
function keyBytes(parameters: CkksParameters, galoisKeys: number): number {
  const { ring, raiseLevel } = parameters
  const pairs = (count: number, { primes, specialPrimes }: KeySwitchingChain): number =>
    count * (packedBytes(ring, [...primes, ...specialPrimes]) + SEED_BYTES)
  const key = (chain: KeySwitchingChain): number => pairs(digitCount(chain), chain)
  const raises = raiseLevel === undefined ? 0 : key(ephemeralChain(parameters, raiseLevel)) + key(parameters)
  return pairs(1, parameters) + (galoisKeys + 1) * key(parameters) + raises
}

/** Bytes of one polynomial whose residues are packed at their primes' sizes. */
const packedBytes = (ring: number, primes: readonly bigint[]): number =>
  primes.reduce((sum, prime) => sum + (ring * bitLength(prime)) / 8, 0)
