import { PolyVeilError } from '../errors/index.ts'
import type { Checkpoint } from './checkpoint/index.ts'
import type { NetworkConfig } from './config.ts'
import { FAMILIES, familyOf } from './families/index.ts'
import type { Family } from './family.ts'
import type { Network } from './network.ts'
import { refusePrefixed } from './prefix.ts'
import { TensorReader } from './tensor-reader.ts'

/**
 * Builds a network from a checkpoint, which must hold exactly the tensors that the config prescribes. The
 * weights are the checkpoint's own arrays, not copies.
 *
 * @throws TENSOR_MISSING, TENSOR_SHAPE naming the tensor; TENSOR_MISSING naming the prefix when all names
 *   have one
 * @throws NOT_POLYNOMIAL naming the tensors of LayerNorm and the like
 * @throws CONFIG_INVALID when the checkpoint is that of another family, when it has tensors that the config
 *   does not prescribe, or when a field of the config contradicts it
 * @throws CHECKPOINT_UNREADABLE when a weight is not finite or a variance negative
 */
export function loadNetwork(checkpoint: Checkpoint, config: NetworkConfig): Network {
  const family = familyOf(config)
  refuseOtherFamily(checkpoint, family)
  refusePrefixed(checkpoint, family.checkpoint.anchor)
  refuseLayerNorm(checkpoint, family)
  const tensors = new TensorReader(checkpoint, family.checkpoint)
  const operations = family.operations(config, tensors)
  tensors.refuseUnread()
  const { height, width } = config.inputSize
  return { config, height, width, classes: config.classes, operations }
}

const looksLike = (checkpoint: Checkpoint, { checkpoint: { signature } }: Family): boolean =>
  [...checkpoint.keys()].some((name) => signature.test(name))

/** A checkpoint of another family lacks every tensor; the message says which family it looks like. */
function refuseOtherFamily(checkpoint: Checkpoint, family: Family): void {
  if (looksLike(checkpoint, family)) return
  const other = FAMILIES.find((known) => looksLike(checkpoint, known))
  if (other === undefined) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `The config says ${family.title}, but the checkpoint looks like ${other.title}`,
    { field: 'network', family: family.name, found: other.name },
    { remedy: `Give the config of a ${other.title} network, or another checkpoint.` },
  )
}

/** Statistics of training; a norm with only one of them is damaged. */
const RUNNING = ['running_mean', 'running_var']

/** A norm with a one-dimensional `weight` and no running statistics normalises by the input itself. */
function refuseLayerNorm(checkpoint: Checkpoint, { checkpoint: { norms } }: Family): void {
  const names = [...checkpoint]
    .filter(([name, { shape }]) => norms.test(name) && name.endsWith('.weight') && shape.length === 1)
    .map(([name]) => name)
    .filter((name) => !RUNNING.some((statistic) => checkpoint.has(name.replace(/weight$/, statistic))))
  if (names.length === 0) return
  const some = names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '')
  throw new PolyVeilError('NOT_POLYNOMIAL', `The checkpoint has LayerNorm, which is no polynomial: ${some}`, {
    tensors: names.slice(0, 100),
  })
}
