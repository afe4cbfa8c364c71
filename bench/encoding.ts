import { checkParameters } from '../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../src/circuit/parameters/primes.ts'
import { ConstantSource } from '../src/he-ops/seal/constants.ts'
import { createSealContext } from '../src/he-ops/seal/context.ts'
import { loadSeal } from '../src/he-ops/seal/runtime.ts'
import { fromSealOrder } from '../src/he-ops/seal/slot-order.ts'
import { type Benchmark, check, figure, medianSeconds } from './harness.ts'

const RING = 16384
const LEVEL = 5
const SCALE = 2 ** 20
const BYTES_PER_RESIDUE = 8
const PERIODS = [1, 8, 32, 128]

/**
 * Encodes a periodic weight to a plaintext of node-seal in two ways: by encoding it at its own size and
 * expanding it, and by node-seal's encoder. The results are decoded and compared.
 */
export const encoding: Benchmark = {
  name: 'encoding',
  what: `periodic plaintexts at N = ${RING}, ${LEVEL + 1} primes, against node-seal's encoder`,
  async run(say) {
    const seal = await loadSeal()
    const primes = nttPrimes(RING, [50, 50, 50, 50, 50, 50, 60]).map(String)
    const parameters = checkParameters({
      ring: RING,
      primes: primes.slice(0, 6),
      specialPrimes: primes.slice(6),
    })
    const ctx = createSealContext(seal, parameters)
    const encoder = new seal.CKKSEncoder(ctx.context)
    const plaintext = new seal.Plaintext()
    const constants = PERIODS.map((period) =>
      Float64Array.from({ length: period }, (_, i) => Math.sin(3 * i + 1)),
    )
    const source = new ConstantSource(ctx, constants)
    const rows = constants.map((values, id) => {
      const period = values.length
      const decoded: Float64Array[] = []
      source.use(id, SCALE, LEVEL, (made) =>
        decoded.push(fromSealOrder(encoder.decodeFloat64(made) as Float64Array)),
      )
      const error = decoded[0].reduce((most, v, s) => Math.max(most, Math.abs(v - values[s % period])), 0)
      check(error < 1e-4, `period ${period} decodes to what was encoded (error ${error})`)
      const full = Float64Array.from({ length: parameters.slots }, (_, s) => values[s % period])
      const ours = medianSeconds(50, () => source.use(id, SCALE, LEVEL, () => {}))
      const theirs = medianSeconds(20, () => encoder.encode(full, SCALE, plaintext))
      say(`period ${period}: ${(theirs / ours).toFixed(1)} times faster`)
      return {
        period,
        maxError: error,
        expandSeconds: figure(ours),
        nodeSealEncodeSeconds: figure(theirs),
        ratio: figure(theirs / ours),
        keptBytes: 2 * period * (LEVEL + 1) * BYTES_PER_RESIDUE,
        expandedBytes: RING * (LEVEL + 1) * BYTES_PER_RESIDUE,
      }
    })
    source.delete()
    plaintext.delete()
    encoder.delete()
    ctx.delete()
    return { ring: RING, primes: LEVEL + 1, rows }
  },
}
