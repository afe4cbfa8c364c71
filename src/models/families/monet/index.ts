import type { Family } from '../../family.ts'
import { JSON_NAMES, type MonetConfig, type MonetLiteral, monetConfig } from './config.ts'
import { monetJson, parseMonet } from './json.ts'
import { monetOperations } from './operations.ts'
import { MONET_PUBLISHED } from './published.ts'

/** MONet, multilinear operator networks. */
export const MONET: Family<MonetConfig, MonetLiteral> = {
  name: 'monet',
  title: 'MONet',
  networks: ['MONet'],
  jsonNames: { classes: 'classes', inputSize: JSON_NAMES.inputSize },
  published: MONET_PUBLISHED,
  parse: parseMonet,
  json: monetJson,
  config: monetConfig,
  preprocessing: () => 'monet',
  blocks: ({ layers }) => layers.reduce((sum, blocks) => sum + blocks, 0),
  checkpoint: {
    anchor: 'fs.weight',
    signature: /^network\.\d+\.model\.\d+\.0\.mlp\d\./,
    norms: /^network\.\d+\.model\.\d+\.0\.(mlp\d\.)?norm\d?\./,
    ignored: /(^|\.)num_batches_tracked$|^n_averaged$/,
  },
  operations: monetOperations,
}
