import type { PolyVeilError } from '../../../errors/index.ts'
import * as common from '../../invalid-config.ts'

export const JSON_NAMES: common.JsonNames = {
  stem: 'network',
  initChannels: 'init_channels',
  channelMultipliers: 'channels',
  expansionConv: 'expansion_conv',
  expansionMlp: 'expansion_mlp',
  pairedScale: 'paired_scale',
  sigmoidScales: 'sigmoid_scale',
  downsizeTypes: 'downsize_type',
  attention: 'attn',
  classes: 'num_classes',
  inputSize: 'input_size',
}

/** CONFIG_INVALID about one field of this family, given by its path in either form. */
export const invalidConfig = (path: string, reason: string): PolyVeilError =>
  common.invalidConfig(path, reason, JSON_NAMES)
