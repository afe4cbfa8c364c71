import type { ParmsIdType, SEALContext } from 'node-seal'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { requireSealRing } from '../../schedule/engine-name.ts'
import { guarded, type Seal, withHeap } from './runtime.ts'

/** A SEAL context with the identifiers of its levels. Owns heap objects until `delete`. */
export interface SealContext {
  readonly seal: Seal
  readonly parameters: CkksParameters
  readonly context: SEALContext
  /**
   * The highest level of SEAL's own chain, at which SEAL encodes, and encrypts zero under the public key.
   * SEAL has one special prime, the last one; it takes the others for data primes of levels above
   * `parameters.topLevel`.
   */
  readonly highestLevel: number
  /** SEAL's identifiers of our levels that the context has, up to `parameters.topLevel`, as handles. */
  readonly levelIds: readonly ParmsIdType[]
  /** The same identifiers as 32 bytes, as serialized objects have them. */
  readonly levelIdBytes: readonly Uint8Array[]
  /** Identifier of the key level: all primes, the special ones included. */
  readonly keyIdBytes: Uint8Array
  delete(): void
}

/** Levels of a context besides the key level: all, or only SEAL's highest one. */
export type ContextLevels = 'all levels' | 'highest level'

/**
 * Makes a SEAL context for checked parameters, with any number of special primes. It takes tens of
 * milliseconds for each prime of each level.
 *
 * @throws CONFIG_INVALID when SEAL refuses the parameters, as it does all rings beyond its security table
 */
export function createSealContext(
  seal: Seal,
  parameters: CkksParameters,
  levels: ContextLevels = 'all levels',
): SealContext {
  requireSealRing(parameters.ring)
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
      // Missing levels are holes.
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
    // Our own check of the parameters is stricter; SEAL's is a second one.
    return new seal.SEALContext(literal, allLevels, seal.SecLevelType.tc128)
  })
}

/** From the highest level down to the end of the context's chain, as SEAL numbers its levels. */
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
