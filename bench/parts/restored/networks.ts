import type { CompileOptions } from '../../../src/compiler/index.ts'
import { loadNetwork } from '../../../src/models/index.ts'
import { goldenNetwork, goldenTensors, item } from '../../../test/models/support/golden.ts'
import { missingTrained } from '../../../test/support/trained-networks.ts'
import { madeConfig } from '../random-network/config.ts'
import { makeNetwork } from '../random-network/make.ts'
import { inputs, type Task, trainedTask } from '../refreshed/networks.ts'
import { clothingFiles, spread } from '../test-images.ts'

/** A network whose server restores levels. */
export interface RestoredNetwork {
  readonly name: string
  /** Large networks take minutes for an image, and are measured where they are asked for. */
  readonly isLarge?: boolean
  /** Images where the number is not given. */
  readonly images: number
  /**
   * @param count most images
   * @returns the task, or the reason why the network is not available
   */
  task(count: number): Promise<Task | string>
}

type Options = Pick<CompileOptions, 'precisionBits' | 'rings'>

/** Images for plans, where the network has few. None of them is classified. */
const FEW_CALIBRATION_IMAGES = 2
/** Images of a made network's statistics. */
const STATISTICS_IMAGES = 10
const CLASSES = 10

const withServer = (options: Options): Task['options'] => ({ ...options, refresh: 'server' })

/** A golden network, with its reference inputs. */
const golden = (name: string): RestoredNetwork => ({
  name,
  images: 2,
  async task(count) {
    const network = await goldenNetwork(name)
    const tensor = (await goldenTensors(name)).get('input')!
    const all = Array.from({ length: tensor.shape[0] }, (_, k) => Float64Array.from(item(tensor, k).data))
    return {
      name,
      network,
      images: all.slice(FEW_CALIBRATION_IMAGES).slice(0, count),
      calibration: all.slice(0, FEW_CALIBRATION_IMAGES),
      options: withServer({ precisionBits: 8 }),
    }
  },
})

const trained = (name: string, options: Options, size: Partial<RestoredNetwork> = {}): RestoredNetwork => ({
  name,
  images: 2,
  task: (count) => trainedTask({ name, options: withServer(options) }, count),
  ...size,
})

/** A published architecture with random weights. */
const made = (
  name: string,
  architecture: string,
  { channels, options, ...size }: MadeOptions = {},
): RestoredNetwork => ({
  name,
  images: 2,
  ...size,
  async task(count) {
    // Its preprocessing and its images are those of a trained network.
    const missing = missingTrained('t224')
    if (missing !== undefined) return missing
    const config = madeConfig(architecture, { classes: CLASSES, channels })
    const files = await clothingFiles()
    const statistics = await inputs(spread(files, STATISTICS_IMAGES), { config })
    // Neighbours of the images of the statistics, so that none is among them.
    const others = await inputs(spread(files, count + FEW_CALIBRATION_IMAGES, 1), { config })
    return {
      name,
      network: loadNetwork(await makeNetwork(config, statistics), config),
      images: others.slice(0, count),
      calibration: others.slice(count),
      options: withServer({ precisionBits: 8, ...options }),
    }
  },
})

interface MadeOptions extends Partial<Pick<RestoredNetwork, 'isLarge' | 'images'>> {
  /** Channels of the first stage; by default those of the architecture. */
  readonly channels?: number
  readonly options?: Options
}

export const RESTORED_NETWORKS: readonly RestoredNetwork[] = [
  golden('micro_t'),
  golden('micro_s'),
  golden('micro_lr'),
  trained('clothing_six', { precisionBits: 8.5 }),
  trained('clothing_lr', { precisionBits: 8.5 }),
  made('lr16', 'lowres', { channels: 16 }),
  trained('t224', { precisionBits: 8, rings: [65536] }, { isLarge: true, images: 1 }),
  made('s224', 'cpolynext-s', { options: { rings: [32768] }, isLarge: true, images: 1 }),
]
