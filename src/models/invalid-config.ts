import { PolyVeilError } from '../errors/index.ts'

/** Messages name a field as the JSON form spells it, since that is what users write. */
const JSON_NAMES: Readonly<Record<string, string>> = {
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

/** CONFIG_INVALID about one field, given by its path in either form. */
export function invalidConfig(path: string, reason: string): PolyVeilError {
  const [first, ...rest] = path.split('.')
  const field = [JSON_NAMES[first] ?? first, ...rest].join('.')
  return new PolyVeilError('CONFIG_INVALID', `The config's ${field || 'content'} is invalid: ${reason}`, {
    field,
  })
}
