import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import * as z from 'zod'
import { PolyVeilError, printable } from '../../errors/index.ts'
import { conjugationElement, galoisElement, hasConjugation, rotationSteps } from '../keys.ts'
import { checkParameters, parametersLiteral } from '../parameters/parameters.ts'
import { refreshRounds } from '../refresh.ts'
import type { Circuit } from '../types.ts'
import { issueText } from './bounds.ts'
import { contentSchema, FORMAT, type ManifestContent } from './content.ts'
import { checkLaws } from './laws.ts'

/**
 * The public side of a circuit: everything that a client needs to make keys, encrypt and decrypt. It holds
 * shapes, parameters and layouts. It holds no weight, and nothing that was computed from one.
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

/**
 * The parts of a circuit that a manifest is made from: everything but operations and constants, and the
 * figures that it gives of them.
 */
export interface CircuitOutline extends Omit<Circuit, 'ops' | 'constants' | 'result'> {
  /** As `rotationSteps` gives them. */
  readonly rotationSteps: readonly number[]
  /** Present where the circuit conjugates values. */
  readonly conjugation?: true
  /** Ciphertexts of each refresh round. */
  readonly rounds: readonly number[]
}

export function outlineOf(circuit: Circuit): CircuitOutline {
  const { ops: _ops, constants: _constants, result: _result, ...rest } = circuit
  return {
    ...rest,
    rotationSteps: rotationSteps(circuit),
    ...(hasConjugation(circuit) && { conjugation: true }),
    rounds: refreshRounds(circuit),
  }
}

/** The public manifest of a circuit. */
export const manifestOf = (circuit: Circuit): Manifest => manifestOfOutline(outlineOf(circuit))

/** The manifest of a circuit, from its outline. */
export function manifestOfOutline(circuit: CircuitOutline): Manifest {
  const { rotationSteps: steps, conjugation, rounds } = circuit
  const content = contentSchema.parse({
    format: FORMAT,
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
    ...(conjugation && { conjugation }),
    galoisElements: [
      ...steps.map((step) => galoisElement(circuit.parameters.ring, step)),
      ...(conjugation ? [conjugationElement(circuit.parameters.ring)] : []),
    ],
    estimate: { seconds: circuit.estimate.seconds },
  })
  return { ...content, digest: digestOf(content) }
}

/**
 * Checks a manifest that came over the network: its shape, its digest, its parameters (128 bits, and the
 * digest that they claim), and the laws of `laws.ts`. Time and memory are bounded for any input.
 *
 * @throws PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID
 */
export function checkManifest(data: unknown): Manifest {
  const parsed = contentSchema.extend({ digest: z.string().length(64) }).safeParse(data)
  if (!parsed.success) {
    throw new PolyVeilError('CONFIG_INVALID', `The manifest is malformed at ${issueText(parsed.error)}`)
  }
  const { digest, ...content } = parsed.data
  if (digestOf(content) !== digest) {
    throw new PolyVeilError('PARAMETERS_MISMATCH', 'The manifest does not have the digest it claims', {
      digest: printable(digest),
    })
  }
  const parameters = checkParameters(content.parameters)
  if (parameters.digest !== content.parametersDigest) {
    throw new PolyVeilError('PARAMETERS_MISMATCH', 'The manifest names a wrong digest for its parameters')
  }
  checkLaws(content, parameters)
  return parsed.data
}
