import { PolyVeilError } from '../../errors/index.ts'
import { unreadable } from './errors.ts'
import { shownName } from './shown-name.ts'
import type { Checkpoint, CheckpointTensor } from './tensor.ts'

/** Prefixes of whole models: DataParallel and averages add `module.`, Lightning adds `model.`. */
const OUTER = new Set(['module', 'model'])
/** Prefixes of models or of their parts: torch.compile, FSDP and activation checkpoints. */
const WRAPPERS = new Set(['_orig_mod', '_fsdp_wrapped_module', '_checkpoint_wrapped_module'])

/** A name as the bare model gives it: without wrappers, however they are nested. */
export function bareName(name: string): string {
  const parts = name.split('.').filter((part, i, all) => i === all.length - 1 || !WRAPPERS.has(part))
  const first = parts.findIndex((part, i) => i === parts.length - 1 || !OUTER.has(part))
  return parts.slice(Math.max(0, first)).join('.')
}

/**
 * The tensors by their bare names.
 *
 * @param prefix of the wanted names, with or without wrappers before it; other names are left out
 * @throws CHECKPOINT_UNREADABLE when two tensors get one name
 * @throws CONFIG_INVALID when no name begins with the prefix
 */
export function withBareNames(checkpoint: Checkpoint, prefix?: string): Checkpoint {
  const bare = new Map<string, CheckpointTensor>()
  for (const [name, tensor] of checkpoint) {
    const inner = prefix === undefined ? bareName(name) : nameBelow(name, prefix)
    if (inner === undefined) continue
    if (bare.has(inner)) throw unreadable(`it has two tensors ${shownName(inner)}`, { tensor: inner })
    bare.set(inner, withPrefix(tensor, name, inner))
  }
  if (bare.size > 0 || checkpoint.size === 0) return bare
  const [first] = checkpoint.keys()
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `No tensor's name begins with --prefix ${prefix}; the first is ${shownName(first)}`,
    { prefix, tensor: first },
  )
}

/** Keeps the prefix of a whole model, so that an error can tell its tensors from others of the file. */
function withPrefix(tensor: CheckpointTensor, name: string, inner: string): CheckpointTensor {
  const prefix = name.endsWith(inner) ? name.slice(0, name.length - inner.length) : ''
  return prefix === '' ? tensor : { ...tensor, prefix }
}

function nameBelow(name: string, prefix: string): string | undefined {
  for (const candidate of [name, bareName(name)]) {
    if (candidate.startsWith(prefix)) return bareName(candidate.slice(prefix.length))
  }
  return undefined
}
