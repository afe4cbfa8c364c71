import type { Preprocessing } from '../preprocessing/types.ts'
import { isPublished } from './architectures.ts'
import type { ConfigLiteral, NetworkConfig } from './config.ts'
import { FAMILIES, familyOf } from './families/index.ts'
import type { Family } from './family.ts'
import { invalidConfig } from './invalid-config.ts'
import { parseJsonText, refuseLargeJson } from './json-size.ts'
import { defaultPreprocessing } from './preprocessing-defaults.ts'
import { parsePreprocessing } from './preprocessing-json.ts'

/** Values that replace fields of a config's JSON form. */
export interface ConfigOverrides {
  readonly classes?: unknown
  readonly inputSize?: unknown
  readonly preprocessing?: unknown
}

/**
 * Reads the JSON form of a config, as it stands beside a checkpoint (docs/network-config.md and
 * docs/families.md).
 *
 * @param json the parsed JSON, or its text
 * @param overrides replace fields of the JSON, whatever the family calls them
 * @returns the network's preprocessing: the stated one, else that of the published network that it is, else
 *   null
 * @throws CONFIG_INVALID naming the field that is missing, unknown, malformed or contradicts another
 * @throws NOT_POLYNOMIAL when it names another normalisation than poly-BN
 * @throws TOO_LARGE when it is larger than any config
 */
export function parseConfig(json: unknown, overrides: ConfigOverrides = {}): NetworkConfig {
  const stated = typeof json === 'string' ? parseJsonText(json) : json
  refuseLargeJson(stated)
  const family = familyNamed(stated)
  const content = withOverrides(stated as Record<string, unknown>, family, overrides)
  const literal = family.parse(content)
  // Checked before the preprocessing is: that of published networks follows the input size.
  const config = family.config(literal)
  return family.config({ ...literal, preprocessing: preprocessingOf(content.preprocessing, config, literal) })
}

/** The family that the field `network` means. */
function familyNamed(json: unknown): Family {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalidConfig('', 'it is no JSON object')
  }
  const network = 'network' in json ? json.network : undefined
  const family = FAMILIES.find(({ networks }) => networks.some((name) => name === network))
  if (family !== undefined) return family
  const known = FAMILIES.flatMap(({ networks }) => networks).join(', ')
  throw invalidConfig('network', `it names none of ${known}`)
}

function withOverrides(
  json: Record<string, unknown>,
  { jsonNames }: Family,
  { classes, inputSize, preprocessing }: ConfigOverrides,
): Record<string, unknown> {
  const fields = { [jsonNames.classes]: classes, [jsonNames.inputSize]: inputSize, preprocessing }
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  return { ...json, ...Object.fromEntries(given) }
}

function preprocessingOf(json: unknown, config: NetworkConfig, literal: ConfigLiteral): Preprocessing | null {
  if (json !== undefined) return parsePreprocessing(json, config.inputSize)
  if (!isPublished(config)) return null
  return defaultPreprocessing(familyOf(config).preprocessing(literal), config.inputSize)
}
