import type { Family } from '../../family.ts'
import { type DttnConfig, type DttnLiteral, dttnConfig, JSON_NAMES } from './config.ts'
import { dttnJson, parseDttn } from './json.ts'
import { dttnOperations } from './operations.ts'
import { DTTN_PUBLISHED } from './published.ts'

/** DTTN, deep tree tensor networks. */
export const DTTN: Family<DttnConfig, DttnLiteral> = {
  name: 'dttn',
  title: 'DTTN',
  networks: ['DTTN'],
  jsonNames: { classes: 'classes', inputSize: JSON_NAMES.inputSize },
  published: DTTN_PUBLISHED,
  parse: parseDttn,
  json: dttnJson,
  config: dttnConfig,
  preprocessing: () => 'dttn',
  blocks: ({ layers }) => layers.reduce((sum, blocks) => sum + blocks, 0),
  checkpoint: {
    anchor: 'fs.weight',
    signature: /^network\.\d+\.model\.\d+\.0\.(L1|R1|Pro)\./,
    norms: /^network\.\d+\.model\.\d+\.0\.norm\d\./,
    ignored: /(^|\.)num_batches_tracked$|^n_averaged$/,
  },
  operations: dttnOperations,
}
