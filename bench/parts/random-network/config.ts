import { architecture, familyOf, type NetworkConfig } from '../../../src/models/index.ts'
import { trainedConfig } from '../../../test/support/trained-networks.ts'
import { resizedTo } from '../test-images.ts'

/** What a made network has other than the published architecture. */
export interface MadeChoices {
  readonly classes: number
  /** Height and width of its input; by default those of the architecture. */
  readonly inputSize?: number
  /** Channels of the first stage, for CPolyNeXt networks. */
  readonly channels?: number
}

/**
 * An architecture with the preprocessing of the trained networks.
 *
 * @throws when `channels` is given for a network of another family than CPolyNeXt
 */
export function madeConfig(name: string, { classes, inputSize, channels }: MadeChoices): NetworkConfig {
  const sized = architecture(name, { classes, inputSize })
  const { preprocessing } = trainedConfig('t224')
  const literal = {
    ...sized,
    ...narrowed(channels, sized),
    preprocessing: resizedTo(preprocessing, sized),
  }
  return familyOf(sized).config(literal)
}

/** The field of another width, which only CPolyNeXt networks have. @param channels of the first stage */
function narrowed(channels: number | undefined, config: NetworkConfig): object {
  if (channels === undefined) return {}
  if (!('initChannels' in config)) throw new Error('Another number of channels is for CPolyNeXt networks')
  return { initChannels: channels }
}
