import * as z from 'zod'
import { MAX_PRIMES } from '../parameters/parameters.ts'
import {
  boundedList,
  MAX_COUNT,
  MAX_LABEL_LENGTH,
  MAX_LABELS,
  MAX_MAGNITUDE,
  MAX_ROTATIONS,
  MAX_ROUNDS,
  MAX_SIDE,
} from './bounds.ts'

export const positive = z.number().finite().positive()

const magnitude = positive.max(MAX_MAGNITUDE)

/** A smaller scale would round every message to zero. The level's modulus bounds it from above. */
const scale = z.number().finite().min(1)

export const count = z.number().int().positive().max(MAX_COUNT)

export const side = z.number().int().positive().max(MAX_SIDE)

export const level = z.number().int().nonnegative().max(MAX_PRIMES)

export const layoutSchema = z.strictObject({
  channels: count,
  height: count,
  width: count,
  interleave: count,
  parts: z.union([z.literal(1), z.literal(2)]),
  channelsPerCiphertext: count,
  rowStride: count,
  columnStride: count,
  offset: z.number().int().nonnegative().max(MAX_COUNT),
  ciphertexts: count,
})

export const preprocessingSchema = z.strictObject({
  channels: z.enum(['rgb', 'grey']),
  resize: z.discriminatedUnion('mode', [
    z.strictObject({ mode: z.literal('squash'), height: side, width: side }),
    z.strictObject({ mode: z.literal('shortSide'), size: side, height: side, width: side }),
  ]),
  interpolation: z.enum(['bicubic', 'bilinear']),
  mean: boundedList(z.number().min(-MAX_MAGNITUDE).max(MAX_MAGNITUDE), 3),
  std: boundedList(
    z
      .number()
      .min(1 / MAX_MAGNITUDE)
      .max(MAX_MAGNITUDE),
    3,
  ),
})

export const FORMAT = 'polyveil-manifest-2'

export const contentSchema = z.strictObject({
  format: z.literal(FORMAT),
  model: z.string().min(1).max(128),
  labels: boundedList(z.string().max(MAX_LABEL_LENGTH), MAX_LABELS),
  parameters: z.strictObject({
    ring: count,
    primes: boundedList(z.string().max(20), MAX_PRIMES),
    specialPrimes: boundedList(z.string().max(20), MAX_PRIMES),
    raiseLevel: level.optional(),
  }),
  parametersDigest: z.string().length(64),
  /** Images that share the ciphertexts. */
  batch: count,
  input: z.strictObject({
    /** Null: the model takes preprocessed tensors, and no pictures. */
    preprocessing: preprocessingSchema.nullable(),
    image: z.tuple([count, side, side]),
    patch: count,
    layout: layoutSchema,
    level,
    scale,
    bound: magnitude,
  }),
  output: z.strictObject({
    classes: count,
    period: count,
    level,
    scale,
    bound: magnitude,
    tolerance: positive,
    flooding: z.number().finite().nonnegative(),
    /** Power of two that logits are rounded to multiples of. */
    precision: positive,
  }),
  /** Refresh rounds; 0 is one shot. */
  rounds: z.number().int().nonnegative().max(MAX_ROUNDS),
  /** What comes to the client in each round, and at which level; null for one shot. */
  refresh: z
    .strictObject({
      level,
      ciphertexts: boundedList(count, MAX_ROUNDS),
    })
    .nullable(),
  rotationSteps: boundedList(z.number().int().positive(), MAX_ROTATIONS),
  /** Present where the circuit conjugates values, which takes a Galois key too. */
  conjugation: z.literal(true).optional(),
  /** Those of the rotation steps, in their order, and then that of conjugation. */
  galoisElements: boundedList(z.number().int().positive(), MAX_ROTATIONS + 1),
  estimate: z.strictObject({ seconds: z.number().nonnegative() }),
})

/** A manifest without its digest: everything that the digest covers. */
export type ManifestContent = z.infer<typeof contentSchema>
