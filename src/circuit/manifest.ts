import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { z } from 'zod'
import { PolyVeilError } from '../errors/index.ts'
import { isBatch } from './image-batch.ts'
import { galoisElement, rotationSteps } from './keys.ts'
import { checkParameters, parametersLiteral } from './parameters.ts'
import { refreshRounds } from './refresh.ts'
import type { Circuit } from './types.ts'

const positive = z.number().finite().positive()
const count = z
  .number()
  .int()
  .positive()
  .max(1 << 24)

const layoutSchema = z.strictObject({
  channels: count,
  height: count,
  width: count,
  interleave: count,
  channelsPerCiphertext: count,
  rowStride: count,
  columnStride: count,
  offset: z
    .number()
    .int()
    .nonnegative()
    .max(1 << 24),
  ciphertexts: count,
})

const preprocessingSchema = z.strictObject({
  channels: z.enum(['rgb', 'grey']),
  resize: z.discriminatedUnion('mode', [
    z.strictObject({ mode: z.literal('squash'), height: count, width: count }),
    z.strictObject({ mode: z.literal('shortSide'), size: count, height: count, width: count }),
  ]),
  interpolation: z.enum(['bicubic', 'bilinear']),
  mean: z.array(z.number().finite()).min(1).max(3),
  std: z.array(positive).min(1).max(3),
})

const contentSchema = z.strictObject({
  format: z.literal('polyveil-manifest-1'),
  model: z.string().min(1).max(128),
  labels: z.array(z.string().max(256)).max(100_000),
  parameters: z.strictObject({
    ring: count,
    primes: z.array(z.string().max(20)).min(1).max(64),
    specialPrimes: z.array(z.string().max(20)).min(1).max(64),
  }),
  parametersDigest: z.string().length(64),
  /** Images that share the ciphertexts. */
  batch: count,
  input: z.strictObject({
    /** Null: the model takes preprocessed tensors, and no pictures. */
    preprocessing: preprocessingSchema.nullable(),
    image: z.tuple([count, count, count]),
    patch: count,
    layout: layoutSchema,
    level: z.number().int().nonnegative(),
    scale: positive,
    bound: positive,
  }),
  output: z.strictObject({
    classes: count,
    period: count,
    level: z.number().int().nonnegative(),
    scale: positive,
    bound: positive,
    tolerance: positive,
    flooding: z.number().finite().nonnegative(),
  }),
  /** Refresh rounds; 0 is one shot. */
  rounds: z.number().int().nonnegative().max(10_000),
  /** What comes to the client in each round, and at which level; null for one shot. */
  refresh: z
    .strictObject({
      level: z.number().int().nonnegative(),
      ciphertexts: z.array(count).min(1).max(10_000),
    })
    .nullable(),
  rotationSteps: z.array(z.number().int().positive()),
  galoisElements: z.array(z.number().int().positive()),
  estimate: z.strictObject({ seconds: z.number().nonnegative() }),
})

/** A manifest without its digest: everything that the digest covers. */
export type ManifestContent = z.infer<typeof contentSchema>

/**
 * The public side of a circuit: all that a client needs to make keys, encrypt and decrypt. It holds shapes, parameters
 * and layouts; no weight and nothing computed from one.
 */
export type Manifest = ManifestContent & {
  /** SHA-256 in hex over the canonical JSON of the content; queries are bound to it. */
  readonly digest: string
}

/** JSON with sorted keys and no white space: equal content gives equal bytes. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    entries.sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

const digestOf = (content: ManifestContent): string => bytesToHex(sha256(utf8ToBytes(canonicalJson(content))))

/** What a manifest is made from: all of a circuit but its operations and constants, and what the manifest says of these. */
export interface CircuitOutline extends Omit<Circuit, 'ops' | 'constants' | 'result'> {
  /** As `rotationSteps` gives them. */
  readonly rotationSteps: readonly number[]
  /** Ciphertexts of each refresh round. */
  readonly rounds: readonly number[]
}

export function outlineOf(circuit: Circuit): CircuitOutline {
  const { ops: _ops, constants: _constants, result: _result, ...rest } = circuit
  return { ...rest, rotationSteps: rotationSteps(circuit), rounds: refreshRounds(circuit) }
}

/** The public manifest of a circuit. */
export const manifestOf = (circuit: Circuit): Manifest => manifestOfOutline(outlineOf(circuit))

/** The manifest of the circuit that an outline is of. */
export function manifestOfOutline(circuit: CircuitOutline): Manifest {
  const { rotationSteps: steps, rounds } = circuit
  const content = contentSchema.parse({
    format: 'polyveil-manifest-1',
    model: circuit.model,
    labels: circuit.labels,
    parameters: parametersLiteral(circuit.parameters),
    parametersDigest: circuit.parameters.digest,
    batch: circuit.batch,
    input: circuit.input,
    output: circuit.output,
    rounds: rounds.length,
    refresh: circuit.refresh ? { level: circuit.refresh.level, ciphertexts: rounds } : null,
    rotationSteps: steps,
    galoisElements: steps.map((step) => galoisElement(circuit.parameters.ring, step)),
    estimate: { seconds: circuit.estimate.seconds },
  })
  return { ...content, digest: digestOf(content) }
}

/**
 * Checks a manifest that came over the network: its shape, its digest, its parameters (128 bits, the digest they
 * claim), and that its layouts fit the slots.
 *
 * @throws PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID
 */
export function checkManifest(data: unknown): Manifest {
  const parsed = contentSchema.extend({ digest: z.string().length(64) }).safeParse(data)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The manifest is malformed at ${issue.path.join('.')}: ${issue.message}`,
    )
  }
  const { digest, ...content } = parsed.data
  if (digestOf(content) !== digest) {
    throw new PolyVeilError('PARAMETERS_MISMATCH', 'The manifest does not have the digest it claims', {
      digest,
    })
  }
  const parameters = checkParameters(content.parameters)
  if (parameters.digest !== content.parametersDigest) {
    throw new PolyVeilError('PARAMETERS_MISMATCH', 'The manifest names a wrong digest for its parameters')
  }
  checkConsistency(content, parameters.slots, parameters.topLevel)
  return parsed.data
}

function checkConsistency(content: ManifestContent, slots: number, topLevel: number): void {
  const { batch, input, output, parameters } = content
  const { layout } = input
  const imageSlots = slots / batch
  const last =
    layout.offset + (layout.height - 1) * layout.rowStride + (layout.width - 1) * layout.columnStride
  const [c, h, w] = input.image
  const laws: [boolean, string][] = [
    [isBatch(batch, slots), 'the batch does not divide the slots'],
    [(last + 1) * layout.interleave <= imageSlots, 'the input layout does not fit the slots'],
    [layout.channelsPerCiphertext <= layout.interleave, 'more channels than slots per position'],
    [
      layout.ciphertexts === Math.ceil(layout.channels / layout.channelsPerCiphertext),
      'wrong ciphertext count',
    ],
    [layout.channels === c * input.patch ** 2, 'the input layout has other channels than the image'],
    [layout.height === Math.ceil(h / input.patch), 'the input layout has another height than the image'],
    [layout.width === Math.ceil(w / input.patch), 'the input layout has another width than the image'],
    [input.level <= topLevel && output.level <= topLevel, 'a level above the highest'],
    [
      content.rounds === (content.refresh?.ciphertexts.length ?? 0) &&
        (content.refresh?.level ?? 0) < topLevel,
      'the refreshes do not fit the rounds or the levels',
    ],
    [
      imageSlots % output.period === 0 && output.period >= output.classes,
      'the output layout does not fit the slots',
    ],
    [content.labels.length === 0 || content.labels.length === output.classes, 'labels and classes differ'],
    [content.rotationSteps.every((step) => step < slots), 'a rotation beyond the slots'],
    [content.rotationSteps.every((step) => step % batch === 0), 'a rotation mixes the images of a batch'],
    [
      content.rotationSteps.length === content.galoisElements.length &&
        content.rotationSteps.every(
          (s, i) => galoisElement(parameters.ring, s) === content.galoisElements[i],
        ),
      'rotations and Galois elements differ',
    ],
  ]
  const broken = laws.find(([holds]) => !holds)
  if (broken) throw new PolyVeilError('CONFIG_INVALID', `The manifest contradicts itself: ${broken[1]}`)
}
