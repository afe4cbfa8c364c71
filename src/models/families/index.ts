import type { NetworkConfig } from '../config.ts'
import type { Family } from '../family.ts'
import { CPOLYNEXT } from './cpolynext/index.ts'
import { CPOLYNEXT_PUBLISHED } from './cpolynext/published.ts'
import { DTTN } from './dttn/index.ts'
import { DTTN_PUBLISHED } from './dttn/published.ts'
import { MONET } from './monet/index.ts'
import { MONET_PUBLISHED } from './monet/published.ts'

/** All families. A new family is a folder beside this file and an entry here. */
export const FAMILIES: readonly Family[] = [CPOLYNEXT, MONET, DTTN]

/** The published networks of all families, by name. */
export const ARCHITECTURES = Object.freeze({ ...CPOLYNEXT_PUBLISHED, ...MONET_PUBLISHED, ...DTTN_PUBLISHED })

/** The family of a config. */
export const familyOf = ({ family: name }: Pick<NetworkConfig, 'family'>): Family => {
  const family = FAMILIES.find((known) => known.name === name)
  if (family === undefined) throw new Error(`No family is called ${name}`)
  return family
}
