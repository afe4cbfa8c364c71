import { type ErrorFacts, PolyVeilError } from './polyveil-error.ts'

const OLDEST_NODE = 24

/** Why a release of Node is too old. */
export interface OldNode {
  readonly message: string
  readonly facts: ErrorFacts
  readonly remedy: string
}

/** @param version of Node; undefined in a browser @returns nothing when the release is recent enough */
export function oldNode(version: string | undefined): OldNode | undefined {
  if (version === undefined || Number.parseInt(version, 10) >= OLDEST_NODE) return undefined
  return {
    message: `PolyVeil runs on Node ${OLDEST_NODE} or newer, and this is ${version}`,
    facts: { version },
    remedy: `Install Node ${OLDEST_NODE} or newer and run it again; \`node --version\` says which one runs.`,
  }
}

/**
 * @throws CONFIG_INVALID when Node is too old: it lacks what the package needs, and would fail somewhere in
 *   the middle
 */
export function requireNode(version: string | undefined): void {
  const old = oldNode(version)
  if (old) throw new PolyVeilError('CONFIG_INVALID', old.message, old.facts, { remedy: old.remedy })
}
