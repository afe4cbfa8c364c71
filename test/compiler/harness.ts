import { readFile } from 'node:fs/promises'
import { answerPeriod } from '../../src/circuit/answer.ts'
import { allSlots, imaginaryOf, realOf } from '../../src/circuit/constants/slot-vector.ts'
import { interleaveImages, slotsOfImage } from '../../src/circuit/image-batch.ts'
import { pack, unpack } from '../../src/circuit/layout.ts'
import { type CkksParameters, checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import type { Circuit, Layout, SlotVector } from '../../src/circuit/types.ts'
import { readBatch } from '../../src/client/local/answer.ts'
import { batchSlots } from '../../src/client/local/input.ts'
import { networkGraph } from '../../src/compiler/graph/build.ts'
import { evaluate } from '../../src/compiler/graph/evaluate.ts'
import type { Graph, NodeKind } from '../../src/compiler/graph/graph.ts'
import { CircuitBuilder } from '../../src/compiler/lowering/builder/circuit-builder.ts'
import type { ScalePolicy } from '../../src/compiler/lowering/builder/scale-policy.ts'
import type { Packed } from '../../src/compiler/lowering/packed.ts'
import { widen } from '../../src/compiler/lowering/widen.ts'
import { createClearEvaluator } from '../../src/he-ops/clear/evaluator.ts'
import { periodicPart } from '../../src/he-ops/encoding/decode-periodic.ts'
import { execute } from '../../src/he-ops/executor.ts'
import { loadNetwork, parseConfig, readCheckpoint } from '../../src/models/index.ts'
import type { Network } from '../../src/models/network.ts'

const GOLDEN = new URL('../golden/', import.meta.url)

/** A golden network, with its reference inputs and logits. */
export async function golden(
  name: string,
): Promise<{ network: Network; images: Float64Array[]; logits: Float64Array[] }> {
  const file = (suffix: string) => new URL(`${name}${suffix}`, GOLDEN).pathname
  const config = parseConfig(JSON.parse(await readFile(file('.json'), 'utf8')))
  const network = loadNetwork(await readCheckpoint(file('.pt')), config)
  const tensors = await readCheckpoint(file('.golden.safetensors'))
  const rows = (tensor: string) => {
    const { shape, data } = tensors.get(tensor)!
    const size = data.length / shape[0]
    return Array.from({ length: shape[0] }, (_, i) =>
      Float64Array.from(data.subarray(i * size, (i + 1) * size)),
    )
  }
  return { network, images: rows('input'), logits: rows('logits') }
}

export const GOLDEN_NETWORKS = ['one_shot', 'micro_t', 'micro_s', 'micro_lr'] as const

/** The unfolded graph of a golden network and one of its images. */
export async function goldenGraph(name: string): Promise<{ graph: Graph; image: Float64Array }> {
  const { network, images } = await golden(name)
  return { graph: networkGraph(network), image: images[0] }
}

/** Largest absolute difference of two graphs' outputs on an image. */
export function difference(a: Graph, b: Graph, image: Float64Array): number {
  return maxDifference(evaluate(a, image), evaluate(b, image))
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  return Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i])))
}

export const countKind = (graph: Graph, kind: NodeKind): number =>
  graph.nodes.filter((node) => node.kind === kind).length

/** Reproducible distinct values without symmetry. */
export function distinct(length: number, seed = 1): Float64Array {
  let state = seed * 2654435761
  return Float64Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

const primes = nttPrimes(8192, [50, 40, 40, 60]).map(String)

/** Ring 8192, levels of 50, 40 and 40 bits: 4096 slots. */
export const parameters: CkksParameters = checkParameters({
  ring: 8192,
  primes: primes.slice(0, 3),
  specialPrimes: primes.slice(3),
})

export const policy: ScalePolicy = { waterline: 28, step: 20, rounding: 25, input: 30 }

/** A builder of a circuit with one layer. @param batch images that share the slots */
export const newBuilder = (batch = 1): CircuitBuilder => {
  const builder = new CircuitBuilder(
    { ...parameters, slots: parameters.slots / batch, batch },
    policy,
    'circuit',
  )
  builder.layer({ name: 'test', kind: 'test', shape: [1, 1, 1], slotsUsed: 1, interleave: 1 })
  return builder
}

/** Appends the inputs of a tensor with the given layout. */
export const packedInput = (builder: CircuitBuilder, layout: Layout): Packed => ({
  layout,
  values: Array.from({ length: layout.ciphertexts }, (_, index) => builder.input(index)),
  clean: true,
})

/**
 * Runs the builder's operations, for all images of its batch, on the clear backend. @returns slots of the
 * given values
 */
export function run(
  builder: CircuitBuilder,
  inputs: readonly SlotVector[],
  values: readonly number[],
  noise: 'none' | 'model' = 'none',
): SlotVector[] {
  const { layers } = builder
  const { ops, constants } = widen(builder, builder.batch)
  const circuit = { ops, constants, layers, parameters, result: ops.length - 1 } as unknown as Circuit
  const evaluator = createClearEvaluator(circuit, { noise })
  const seen = new Map<number, SlotVector>()
  const encrypted = inputs.map((slots) => evaluator.encrypt(slots, parameters.topLevel, 2 ** policy.input))
  const specs = {
    input: { layout: { ciphertexts: inputs.length }, level: parameters.topLevel, scale: 2 ** policy.input },
  }
  execute({ ...circuit, ...specs } as Circuit, evaluator, encrypted, {
    observe: (id, ciphertext) => {
      if (values.includes(id)) seen.set(id, allSlots(ciphertext.slots, parameters.slots))
    },
  })
  return values.map((id) => seen.get(id)!)
}

/** The elements of a packed tensor, and the largest absolute value in slots without an element. */
export function readBack(
  builder: CircuitBuilder,
  tensor: Float64Array,
  input: Layout,
  output: Packed,
): { elements: Float64Array; stray: number } {
  return readBackAll(builder, [tensor], input, output)[0]
}

/** The elements of a packed tensor, with the noise of encryption and encoding. */
export function noisyElements(
  builder: CircuitBuilder,
  tensor: Float64Array,
  input: Layout,
  output: Packed,
): Float64Array {
  const slots = run(builder, pack(input, tensor, builder.chain.slots), valuesOf(output), 'model')
  return unpack(output.layout, slotsOf(output.layout, slots))
}

/** All values of a tensor: of a split one first those of the real parts. */
export const valuesOf = ({ values, imaginary = [] }: Packed): number[] => [
  ...values,
  ...imaginary.filter((value) => value !== undefined),
]

/**
 * The slots of a tensor's ciphertexts, from those of all its values.
 *
 * @param layout of the tensor
 * @throws when values of a split tensor have imaginary parts beyond the tolerance
 */
export function slotsOf(
  { ciphertexts }: Layout,
  all: readonly SlotVector[],
  tolerance = 1e-9,
): readonly SlotVector[] {
  if (all.length === ciphertexts) return all
  for (const slots of all) {
    if ((imaginaryOf(slots) ?? []).some((value) => Math.abs(value) > tolerance))
      throw new Error('A slot is not real')
  }
  return Array.from({ length: ciphertexts }, (_, index) => ({
    real: realOf(all[index]),
    // The last ciphertext may have one channel.
    imaginary: realOf(all[ciphertexts + index] ?? new Float64Array(realOf(all[index]).length)),
  }))
}

/** As `readBack`, for each image of the builder's batch. */
export function readBackAll(
  builder: CircuitBuilder,
  tensors: readonly Float64Array[],
  input: Layout,
  output: Packed,
): { elements: Float64Array; stray: number }[] {
  const { slots } = builder.chain
  const packed = tensors.map((tensor) => pack(input, tensor, slots))
  const inputs = packed[0].map((_, index) => interleaveImages(packed.map((vectors) => vectors[index])))
  const results = slotsOf(output.layout, run(builder, inputs, valuesOf(output)))
  return tensors.map((_, place) => {
    const vectors = results.map((vector) => slotsOfImage(vector, tensors.length, place))
    const elements = unpack(output.layout, vectors)
    const kept = pack(output.layout, elements, slots)
    return { elements, stray: Math.max(...vectors.map((vector, i) => slotDifference(vector, kept[i]))) }
  })
}

/** Largest absolute difference of slots, in either part. */
export function slotDifference(a: SlotVector, b: SlotVector): number {
  const zero = new Float64Array(realOf(a).length)
  const imaginary = maxDifference(imaginaryOf(a) ?? zero, imaginaryOf(b) ?? zero)
  return Math.max(maxDifference(realOf(a), realOf(b)), imaginary)
}

/** Logits of an image [C, H, W] that a circuit computes on the clear backend. */
export const clearLogits = (circuit: Circuit, image: Float64Array, noise: 'none' | 'model'): Float64Array =>
  clearBatch(circuit, [image], noise)[0]

/**
 * Logits of images that a circuit computes in one batch on the clear backend, for every place of the batch.
 */
export function clearBatch(
  circuit: Circuit,
  images: readonly Float64Array[],
  noise: 'none' | 'model',
): Float64Array[] {
  const { input, parameters } = circuit
  const evaluator = createClearEvaluator(circuit, { noise })
  const encrypted = batchSlots(images, circuit, parameters.slots).map((slots) =>
    evaluator.encrypt(slots, input.level, input.scale),
  )
  const result = execute(circuit, evaluator, encrypted, { takeInputs: true })
  const slots = evaluator.decrypt(result)
  const answer = periodicPart(slots, answerPeriod(circuit))
  const { output } = circuit
  slots.real.forEach((value, s) => {
    if (!(Math.abs(value - answer.real[s % answer.real.length]) < output.tolerance)) {
      throw new Error(`slot ${s} of the answer is ${value}, and others of its kind are not`)
    }
  })
  return readBatch(answer, circuit)
}
