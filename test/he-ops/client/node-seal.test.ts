import { registerHooks } from 'node:module'
import t from 'tap'

// node-seal has megabytes and takes a tenth of a second to load. This test runs in its own process, so that
// no other test has loaded it.

let loads = 0
registerHooks({
  resolve(specifier, context, next) {
    if (specifier === 'node-seal') loads++
    return next(specifier, context)
  },
})

const { checkParameters } = await import('../../../src/circuit/parameters/parameters.ts')
const { nttPrimes } = await import('../../../src/circuit/parameters/primes.ts')
const { createClientKey, sampleSecretKey } = await import('../../../src/he-ops/client/create.ts')
const { KeyRing, LocalModel, memoryKeyStore } = await import('../../../src/client/index.ts')

/** @param bits of the data primes, and of the special one at the end */
function parametersOf(...bits: number[]) {
  const primes = nttPrimes(8192, bits).map(String)
  return checkParameters({ ring: 8192, primes: primes.slice(0, -1), specialPrimes: primes.slice(-1) })
}

t.test('a client loads node-seal only where a prime is too large for the kernels', async (t) => {
  t.ok(KeyRing && LocalModel && memoryKeyStore, 'all modules of the client are loaded')
  const small = parametersOf(28, 30, 30, 30)
  const key = await createClientKey(small, await sampleSecretKey(small), 'f')
  const [pair] = await key.encryptSlots([Float64Array.of(1)], 1, 2 ** 25)
  t.ok('limbs' in pair && pair.limbs.length === 2)
  key.delete()
  t.equal(loads, 0)
  const large = parametersOf(45, 30, 60)
  const other = await createClientKey(large, await sampleSecretKey(large), 'f')
  other.delete()
  t.ok(loads > 0, 'positive control')
})
