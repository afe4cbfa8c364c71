import type { ParmsIdType, SEALContext } from 'node-seal'
import type { CkksParameters } from '../../circuit/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { guarded, type Seal, withHeap } from './runtime.ts'

/** A SEAL context with what SEAL keeps per level, found once. Owns heap objects until `delete`. */
export interface SealContext {
  readonly seal: Seal
  readonly parameters: CkksParameters
  readonly context: SEALContext
  /**
   * The highest level of SEAL's own chain, at which it encodes and encrypts zero under the public key. SEAL knows one
   * special prime, the last; it takes further ones for data primes of levels above `parameters.topLevel`.
   */
  readonly highestLevel: number
  /** Handles to SEAL's identifier of each level of ours, 0 to `parameters.topLevel`. */
  readonly levelIds: readonly ParmsIdType[]
  /** The same identifiers as 32 bytes, as they stand in serialized objects. */
  readonly levelIdBytes: readonly Uint8Array[]
  /** Identifier of the level that keys live at: all primes, the special ones included. */
  readonly keyIdBytes: Uint8Array
  delete(): void
}

/**
 * Makes SEAL's context for checked parameters, with any number of special primes.
 *
 * @throws CONFIG_INVALID when SEAL refuses the parameters
 */
export function createSealContext(seal: Seal, parameters: CkksParameters): SealContext {
  const context = guarded(seal, () => buildContext(seal, parameters))
  if (!context.parametersSet()) {
    context.delete()
    throw new PolyVeilError('CONFIG_INVALID', 'SEAL refuses the parameters', { ring: parameters.ring })
  }
  const levelIds = collectLevelIds(context, parameters.topLevel)
  const keyId = context.keyParmsId()
  const keyIdBytes = idBytes(keyId)
  keyId.delete()
  return {
    seal,
    parameters,
    context,
    highestLevel: parameters.topLevel + parameters.specialPrimes.length - 1,
    levelIds,
    levelIdBytes: levelIds.map(idBytes),
    keyIdBytes,
    delete() {
      for (const id of levelIds) id.delete()
      context.delete()
    },
  }
}

function buildContext(seal: Seal, parameters: CkksParameters): SEALContext {
  return withHeap((own) => {
    const literal = own(new seal.EncryptionParameters(seal.SchemeType.ckks))
    literal.setPolyModulusDegree(parameters.ring)
    const chain = own(new seal.VectorModulus())
    for (const prime of [...parameters.primes, ...parameters.specialPrimes]) {
      chain.push_back(own(new seal.Modulus(prime)))
    }
    literal.setCoeffModulus(chain)
    // Our own gate is the stricter one; SEAL's is kept on as a second opinion.
    return new seal.SEALContext(literal, true, seal.SecLevelType.tc128)
  })
}

/** SEAL numbers its levels as we do, by the last prime's index. */
function collectLevelIds(context: SEALContext, topLevel: number): ParmsIdType[] {
  const ids: ParmsIdType[] = []
  let data = context.firstContextData()
  for (;;) {
    if (data.chainIndex() <= topLevel) ids[data.chainIndex()] = data.parmsId()
    if (data.chainIndex() === 0) break
    const next = data.nextContextData()
    data.delete()
    data = next
  }
  data.delete()
  return ids
}

/** SEAL writes the identifier as four 64-bit words, little-endian. */
function idBytes(id: ParmsIdType): Uint8Array {
  const words = BigUint64Array.from(id.values() as BigUint64Array)
  return new Uint8Array(words.buffer)
}
