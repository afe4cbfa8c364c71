import { readFile } from 'node:fs/promises'
import { type Circuit, manifestOf } from '../../src/circuit/index.ts'
import { keyLevels } from '../../src/circuit/keys.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../src/client/index.ts'
import { compile } from '../../src/compiler/index.ts'
import { createKernelMemory, instantiateKernels, type Kernels } from '../../src/he-ops/kernels/kernels.ts'
import { type CircuitProgram, compileCircuit } from '../../src/he-ops/simd/circuit-program.ts'
import { ConstantStore } from '../../src/he-ops/simd/constants/constant-store.ts'
import { createSimdContext, type SimdContext, SimdKeySet } from '../../src/he-ops/simd/index.ts'
import { Heap } from '../../src/he-ops/simd/memory/heap.ts'
import { PairLoader } from '../../src/he-ops/simd/values/pair-loader.ts'
import { bundledNetworks, loadNetwork, readCheckpoint } from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { preprocess } from '../../src/preprocessing/index.ts'
import { bytesSource, openKeySet, openTensor, querySpec } from '../../src/wire/index.ts'

/**
 * A bundled network's circuit with keys and an encrypted image, which can be built for any number of threads.
 */
export interface BundledProgram {
  readonly circuit: Circuit
  readonly context: SimdContext
  readonly kernels: Kernels
  readonly memory: WebAssembly.Memory
  build(threads: number): CircuitProgram
  /** Writes the image to the inputs of the program. */
  load(program: CircuitProgram): void
  /** The result's residues, before re-randomisation. */
  result(program: CircuitProgram): Buffer
}

export async function bundledProgram(name: string): Promise<BundledProgram> {
  const { checkpoint, config, images } = bundledNetworks().find((network) => network.name === name)!
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const { circuit } = compile(network, { model: name, ...config, refresh: 'never' })
  const { parameters } = circuit
  const manifest = manifestOf(circuit)
  const ring = new KeyRing(memoryKeyStore())
  const client = new LocalModel(manifest, ring)
  const chunks: Uint8Array[] = []
  for await (const chunk of client.keySet()) chunks.push(chunk)
  const image = preprocess(await decodeImage(await readFile(images[0].file)), config.preprocessing)
  const pairs = openTensor(parameters, querySpec(manifest), await client.encrypt(image))

  ring.close()
  const memory = createKernelMemory()
  const kernels = await instantiateKernels(memory)
  const context = createSimdContext(kernels, new Heap(memory), parameters)
  const keys = new SimdKeySet(context)
  await keys.load(
    await openKeySet(parameters, bytesSource(Buffer.concat(chunks))),
    keyLevels(parameters, circuit),
  )
  const constants = new ConstantStore(context, circuit.constants)
  return {
    circuit,
    context,
    kernels,
    memory,
    build: (threads) => compileCircuit(context, circuit, keys, constants, threads),
    load({ inputs }) {
      const loader = new PairLoader(context)
      pairs.forEach((pair, i) => {
        loader.load(pair, inputs[i].polynomials[0], inputs[i].polynomials[1])
      })
      loader.free()
    },
    result: ({ result: { polynomials, primes } }) =>
      Buffer.concat(polynomials.map((p) => Buffer.from(context.heap.bytes(p, context.limbBytes * primes)))),
  }
}
