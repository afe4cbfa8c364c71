import type { ParmsIdType, SEALContext } from 'node-seal'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { guarded, type Seal, withHeap } from './runtime.ts'

/** A SEAL context with what SEAL keeps per level, found once. Owns heap objects until `delete`. */
export interface SealContext {
  readonly seal: Seal
  readonly parameters: CkksParameters
  readonly context: SEALContext
  /**
   * The highest level of SEAL's own chain, at which it encodes and encrypts zero under the public key. SEAL
   * knows one special prime, the last; it takes further ones for data primes of levels above
   * `parameters.topLevel`.
   */
  readonly highestLevel: number
  /** Handles to SEAL's identifier of each level of ours that the context has, up to `parameters.topLevel`. */
  readonly levelIds: readonly ParmsIdType[]
  /** The same identifiers as 32 bytes, as they stand in serialized objects. */
  readonly levelIdBytes: readonly Uint8Array[]
  /** Identifier of the level that keys live at: all primes, the special ones included. */
  readonly keyIdBytes: Uint8Array
  delete(): void
}

/** Which levels a context has beside that of keys: all, or SEAL's highest alone. */
export type ContextLevels = 'all levels' | 'highest level'

/**
 * Makes SEAL's context for checked parameters, with any number of special primes. That takes time: for each
 * level tens of milliseconds a prime.
 *
 * @throws CONFIG_INVALID when SEAL refuses the parameters
 */
export function createSealContext(
  seal: Seal,
  parameters: CkksParameters,
  levels: ContextLevels = 'all levels',
): SealContext {
  const context = guarded(seal, () => buildContext(seal, parameters, levels === 'all levels'))
  if (!context.parametersSet()) {
    context.delete()
    throw new PolyVeilError('CONFIG_INVALID', 'SEAL refuses the parameters', { ring: parameters.ring })
  }
  const highestLevel = parameters.topLevel + parameters.specialPrimes.length - 1
  const levelIds = collectLevelIds(context, highestLevel, parameters.topLevel)
  const keyId = context.keyParmsId()
  const keyIdBytes = idBytes(keyId)
  keyId.delete()
  return {
    seal,
    parameters,
    context,
    highestLevel,
    levelIds,
    levelIdBytes: levelIds.map(idBytes),
    keyIdBytes,
    delete() {
      // Levels that the context does not have are holes.
      levelIds.forEach((id) => {
        id.delete()
      })
      context.delete()
    },
  }
}

function buildContext(seal: Seal, parameters: CkksParameters, allLevels: boolean): SEALContext {
  return withHeap((own) => {
    const literal = own(new seal.EncryptionParameters(seal.SchemeType.ckks))
    literal.setPolyModulusDegree(parameters.ring)
    const chain = own(new seal.VectorModulus())
    for (const prime of [...parameters.primes, ...parameters.specialPrimes]) {
      chain.push_back(own(new seal.Modulus(prime)))
    }
    literal.setCoeffModulus(chain)
    // Our own gate is the stricter one; SEAL's is kept on as a second opinion.
    return new seal.SEALContext(literal, allLevels, seal.SecLevelType.tc128)
  })
}

/**
 * From the highest level down to where the context's chain ends; SEAL numbers what there is from there on.
 */
function collectLevelIds(context: SEALContext, highestLevel: number, topLevel: number): ParmsIdType[] {
  const ids: ParmsIdType[] = []
  let data = context.firstContextData()
  for (let level = highestLevel; ; level--) {
    if (level <= topLevel) ids[level] = data.parmsId()
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
