import t from 'tap'
import { manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import { frameHeader } from '../../../src/wire/frame.ts'
import {
  decodeFullTensor,
  decodeSecretKey,
  decodeTensor,
  encodeSecretKey,
  encodeTensor,
  keySetLayout,
  levelShape,
  maskedSpec,
  querySpec,
  refreshedSpec,
  responseSpec,
  secretKeyParameters,
  type TensorSpec,
  verifyKeySet,
} from '../../../src/wire/index.ts'
import { parameters } from '../../circuit/circuits.ts'
import { refreshedCircuit } from '../../he-ops/simd/circuits.ts'
import { distinctPair, distinctPolynomial } from '../../wire/fixtures.ts'
import { model } from '../support.ts'
import { hostileBytes, mutated, neverFails, resealed } from './fuzz.ts'

// Frames of all kinds: arbitrary bytes, and mutated real frames, with and without a digest that fits.

const CODES = ['TENSOR_MALFORMED', 'TOO_LARGE', 'PARAMETERS_MISMATCH']

function frameOf(of: typeof parameters, spec: TensorSpec): Uint8Array {
  const shape = levelShape(of, spec.level)
  const pairs = Array.from({ length: spec.ciphertexts }, (_, salt) =>
    spec.seeded
      ? distinctPair(shape, salt)
      : { c0: distinctPolynomial(shape, salt), c1: distinctPolynomial(shape, salt + 1) },
  )
  return encodeTensor(of, spec, pairs)
}

const refreshed = refreshedCircuit()
const refreshedManifest = manifestOf(refreshed)
const KINDS: [what: string, of: typeof parameters, spec: TensorSpec][] = [
  ['queries', parameters, querySpec(model.manifest)],
  ['answers', parameters, responseSpec(model.manifest)],
  ['masked tensors', refreshed.parameters, maskedSpec(refreshedManifest, 0)],
  ['replies', refreshed.parameters, refreshedSpec(refreshedManifest, 0)],
]

for (const [what, of, spec] of KINDS) {
  t.test(`${what} are read or refused with a code`, async () => {
    const good = frameOf(of, spec)
    const read = spec.seeded ? decodeTensor : decodeFullTensor
    read(of, spec, good)
    await neverFails(hostileBytes([good], resealed), 150, (bytes) => read(of, spec, bytes), CODES)
  })
}

t.test('key sets are read or refused with a code', async () => {
  const elements = [3, 5]
  const { totalBytes } = keySetLayout(parameters, elements.length)
  const good = new Uint8Array(totalBytes)
  good.set(frameHeader({ kind: 'keySet', binding: parameters.digest, length: totalBytes }))
  const view = new DataView(good.buffer)
  view.setUint32(48, elements.length, true)
  for (const [i, element] of elements.entries()) view.setUint32(56 + 4 * i, element, true)
  // Almost all of a set is residues, of which zero is one.
  const head = good.slice(0, 200)
  await neverFails(
    hostileBytes([head]),
    60,
    (bytes) => {
      const whole = good.slice()
      whole.set(bytes.subarray(0, whole.length))
      const source = {
        size: bytes.length < head.length ? bytes.length : whole.length,
        verified: true,
        read: async (offset: number, length: number) =>
          (bytes.length < head.length ? bytes : whole).slice(offset, offset + length),
      }
      return verifyKeySet(parameters, source)
    },
    CODES,
  )
})

t.test('secret keys are read or refused with a code', async () => {
  const { ring, primes, specialPrimes } = parameters
  const secret = distinctPolynomial({ ring, primes: [...primes, ...specialPrimes] }, 1)
  const good = encodeSecretKey(parameters, secret)
  await neverFails(hostileBytes([good], resealed), 100, (bytes) => decodeSecretKey(parameters, bytes), CODES)
  await neverFails(mutated([good]), 100, secretKeyParameters, [])
})
