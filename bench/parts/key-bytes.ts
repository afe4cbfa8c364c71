import { galoisElement, rotationElements } from '../../src/circuit/keys.ts'
import { type CkksParameters, checkParameters, digitCount } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import { compile } from '../../src/compiler/index.ts'
import { createSealContext, generateSecretKey, loadSeal } from '../../src/he-ops/index.ts'
import { bundledNetworks, loadNetwork, readCheckpoint } from '../../src/models/index.ts'
import { clientKeySet } from '../../test/support/client-key-set.ts'
import { check, figure } from '../harness.ts'

/**
 * Bytes of an encoded Galois key: ours, and node-seal's seeded serialisation under zstd for the same ring and
 * data primes. node-seal has one special prime, and so one digit for each data prime. Both keys rotate
 * ciphertexts of all levels.
 */
export async function compareKeyBytes() {
  const { checkpoint, config } = bundledNetworks().find(({ name }) => name === 'digits')!
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const { circuit } = compile(network, { model: 'digits', ...config, refresh: 'never' })
  return [
    await compareFor('the bundled digits network', circuit.parameters),
    await compareFor('a deep circuit: 22 data primes, 8 special', deepParameters()),
  ]
}

/** As in plans at ring 32768, where the modulus has room for many special primes. */
function deepParameters(): CkksParameters {
  const primes = nttPrimes(32768, new Array(30).fill(28)).map(String)
  return checkParameters({ ring: 32768, primes: primes.slice(0, 22), specialPrimes: primes.slice(22) })
}

async function compareFor(what: string, parameters: CkksParameters) {
  const ours = await ourKeyBytes(parameters)
  const theirs = await sealKeyBytes(parameters)
  return {
    what,
    ring: parameters.ring,
    dataPrimes: parameters.primes.length,
    specialPrimes: parameters.specialPrimes.length,
    digits: digitCount(parameters),
    galoisKeyBytes: figure(ours),
    sealGaloisKeyBytes: figure(theirs),
    ratio: figure(ours / theirs),
  }
}

async function ourKeyBytes(parameters: CkksParameters): Promise<number> {
  const ctx = createSealContext(await loadSeal(), parameters)
  const secretKey = generateSecretKey(ctx)
  const bytes = async (steps: readonly number[]): Promise<number> => {
    let sum = 0
    for await (const { length } of clientKeySet(ctx, secretKey, rotationElements(parameters, steps)))
      sum += length
    return sum
  }
  const [two, one] = [await bytes([1, 2]), await bytes([1])]
  secretKey.delete()
  ctx.delete()
  return two - one
}

async function sealKeyBytes({ ring, primes, specialPrimes }: CkksParameters): Promise<number> {
  const seal = await loadSeal()
  const ctx = createSealContext(
    seal,
    checkParameters({ ring, primes: primes.map(String), specialPrimes: [String(specialPrimes[0])] }),
  )
  const generator = new seal.KeyGenerator(ctx.context)
  const keys = generator.createGaloisKeysSerializableWithSteps(Int32Array.of(1))
  const bytes = keys.saveToArray(seal.ComprModeType.zstd) as Uint8Array
  const loaded = new seal.GaloisKeys()
  loaded.loadFromArray(ctx.context, bytes)
  check(loaded.hasKey(galoisElement(ring, 1)), 'node-seal made the key, and reads it')
  for (const object of [loaded, keys, generator]) object.delete()
  ctx.delete()
  return bytes.length
}
