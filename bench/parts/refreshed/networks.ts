import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Circuit, readCircuit, writeCircuit } from '../../../src/circuit/index.ts'
import { type CompileOptions, compile } from '../../../src/compiler/index.ts'
import type { Network } from '../../../src/models/index.ts'
import { networkInput } from '../../../src/preprocessing/index.ts'
import { missingTrained, trainedNetwork } from '../../../test/support/trained-networks.ts'
import { clothingFiles, spread, testImage } from '../test-images.ts'

/** A network trained on clothing that does not fit one shot, and its options for the plan. */
export interface RefreshedNetwork {
  readonly name: string
  readonly options: Pick<CompileOptions, 'precisionBits' | 'rings' | 'refresh'>
}

export const REFRESHED_NETWORKS: readonly RefreshedNetwork[] = [
  { name: 'clothing_lr', options: { precisionBits: 8.5 } },
  { name: 'clothing_six', options: { precisionBits: 8.5 } },
  { name: 't224', options: { precisionBits: 8, rings: [8192] } },
]

/** Images for plans. None of them is classified. */
const CALIBRATION_IMAGES = 4

/** The data of such a network for a benchmark. */
export interface Prepared {
  readonly network: Network
  readonly circuit: Circuit
  /** Absent if the circuit was compiled before. */
  readonly compileSeconds?: number
  /** Real test images, [3, H, W] each. */
  readonly images: readonly Float64Array[]
}

/**
 * @param count most images
 * @param circuits folder that may have a circuit compiled before
 * @returns the data, or the reason why the network is not available
 */
export async function prepare(
  network: RefreshedNetwork,
  count: number,
  circuits: string | undefined,
): Promise<Prepared | string> {
  const task = await trainedTask(network, count)
  return typeof task === 'string' ? task : compiled(task, circuits)
}

/** A network to be compiled, and the images to be classified. */
export interface Task {
  readonly name: string
  readonly network: Network
  readonly images: readonly Float64Array[]
  readonly calibration: readonly Float64Array[]
  readonly options: RefreshedNetwork['options']
}

/**
 * A trained network with images of clothing.
 *
 * @param count most images
 * @returns the task, or the reason why the network is not available
 */
export async function trainedTask(
  { name, options }: RefreshedNetwork,
  count: number,
): Promise<Task | string> {
  const missing = missingTrained(name)
  if (missing !== undefined) return missing
  const network = await trainedNetwork(name)
  const files = await clothingFiles()
  const tested = spread(files, Math.min(count, files.length - CALIBRATION_IMAGES))
  const images = await inputs(tested, network)
  const others = files.filter((one) => !tested.includes(one))
  const calibration = await inputs(spread(others, CALIBRATION_IMAGES), network)
  return { name, network, images, calibration, options }
}

/** Compiles a network, unless its circuit is in the folder, and keeps the circuit there. */
export async function compiled(task: Task, circuits: string | undefined): Promise<Prepared> {
  const { name, network, images, calibration, options } = task
  const file = circuits && join(circuits, `${name}.pvc`)
  if (file && existsSync(file)) return { network, circuit: readCircuit(await readFile(file)), images }
  const start = performance.now()
  const { preprocessing, labels } = network.config
  const { circuit } = compile(network, {
    model: name,
    preprocessing,
    labels,
    calibration,
    refresh: 'client',
    ...options,
  })
  const compileSeconds = (performance.now() - start) / 1000
  if (file) await writeFile(file, writeCircuit(circuit))
  return { network, circuit, compileSeconds, images }
}

/** Test images as the network's input. */
export async function inputs(
  files: readonly string[],
  { config }: Pick<Network, 'config'>,
): Promise<Float64Array[]> {
  const images: Float64Array[] = []
  for (const file of files) {
    images.push(Float64Array.from(networkInput(await testImage(file, config.preprocessing))))
  }
  return images
}
