import type { Family } from '../../family.ts'
import { type CPolyNeXtConfig, cpolynextConfig } from './config.ts'
import { JSON_NAMES } from './invalid-config.ts'
import { cpolynextJson, parseCPolyNeXt } from './json.ts'
import type { CPolyNeXtLiteral } from './literal.ts'
import { cpolynextOperations } from './operations.ts'
import { CPOLYNEXT_PUBLISHED } from './published.ts'

/** CPolyNeXt and APolyNeXt, the BatchNorm variants of the PolyNeXt networks. */
export const CPOLYNEXT: Family<CPolyNeXtConfig, CPolyNeXtLiteral> = {
  name: 'cpolynext',
  title: 'CPolyNeXt',
  networks: ['NetworkPolyImageNet', 'NetworkPoly'],
  jsonNames: { classes: JSON_NAMES.classes, inputSize: JSON_NAMES.inputSize },
  published: CPOLYNEXT_PUBLISHED,
  parse: parseCPolyNeXt,
  json: cpolynextJson,
  config: cpolynextConfig,
  preprocessing: ({ stem }) => stem,
  blocks: ({ nodes }) => nodes.length,
  checkpoint: {
    anchor: 'stem.weight',
    signature: /^cells\.\d+\.(ops\.\d+|preprocess0)\./,
    norms: /^(cells\.\d+|norm)\./,
    // Batch counters, the dropout rate of the head, and the updates of an average.
    ignored: /(^|\.)num_batches_tracked$|^head\.2\.p$|^n_averaged$/,
  },
  operations: cpolynextOperations,
}
