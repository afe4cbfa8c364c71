import { z } from 'zod'
import type { Preprocessing } from '../preprocessing/types.ts'
import { invalidConfig, type JsonNames } from './invalid-config.ts'
import { checkPreprocessing } from './preprocessing-defaults.ts'

/** The fields that every config states, whatever its family. */
export interface ConfigLiteral {
  readonly classes: number
  /** Size of the preprocessed image. */
  readonly inputSize: { readonly height: number; readonly width: number }
  /** One name for each class. */
  readonly labels?: readonly string[]
  /** How pictures become inputs; null or absent where it is not known. */
  readonly preprocessing?: Preprocessing | null
}

/** A checked, frozen configuration; only the gate of a family makes one. */
export interface NetworkConfig extends ConfigLiteral {
  /** Name of the family, which knows the other fields. */
  readonly family: string
  /** Null where it is not known: the network takes tensors, and no pictures. */
  readonly preprocessing: Preprocessing | null
}

/** The config of a network that takes pictures. */
export type PictureConfig<C extends NetworkConfig = NetworkConfig> = C & {
  readonly preprocessing: Preprocessing
}

/**
 * A whole number from 1 to `max`. Bounds are far above every published network, so no config asks for absurd
 * work.
 */
export const count = (max: number) => z.number().int().positive().max(max)

/** Schema of the common fields but preprocessing, which `completeConfig` checks. */
export const COMMON_FIELDS = {
  classes: count(100_000),
  inputSize: z.object({ height: count(8192), width: count(8192) }),
  labels: z.array(z.string().min(1).max(256)).optional(),
}

/**
 * A literal's fields, checked one by one.
 *
 * @param names JSON names of fields for messages
 * @throws CONFIG_INVALID naming the first field that is malformed
 */
export function checkedFields<S extends z.ZodType>(
  schema: S,
  literal: unknown,
  names?: JsonNames,
): z.infer<S> {
  const parsed = schema.safeParse(literal)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]
  throw invalidConfig(path.join('.'), message, names)
}

/**
 * Makes a config of checked fields: checks labels and preprocessing, and freezes everything.
 *
 * @param fields of the family and common ones, which share no object with the literal
 * @param preprocessing of the literal; it is copied
 * @throws CONFIG_INVALID naming the field
 */
export function completeConfig<F extends ConfigLiteral, N extends string>(
  family: N,
  fields: F,
  preprocessing: Preprocessing | null | undefined,
): F & { readonly family: N; readonly preprocessing: Preprocessing | null } {
  if (fields.labels && fields.labels.length !== fields.classes) {
    throw invalidConfig('labels', `${fields.labels.length} labels for ${fields.classes} classes`)
  }
  const own = structuredClone(preprocessing) ?? null
  if (own !== null) checkPreprocessing(own, fields.inputSize)
  return deepFreeze({ family, ...fields, preprocessing: own })
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}
