import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { CkksParameters } from '../../src/circuit/parameters/parameters.ts'

/**
 * Parameters with a raise level, in any ring. The ephemeral secret is secure in large rings only, and
 * `checkParameters` refuses small ones: for tests.
 *
 * @param parameters without a raise level
 */
export const raising = (parameters: CkksParameters, raiseLevel: number): CkksParameters =>
  Object.freeze({
    ...parameters,
    raiseLevel,
    digest: bytesToHex(sha256(utf8ToBytes(`${parameters.digest};${raiseLevel}`))),
  })
