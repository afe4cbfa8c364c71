import { fileURLToPath } from 'node:url'
import { PolyVeilError } from '../../errors/index.ts'
import { readStart } from './checkpoint-file.ts'
import { refuseWeights } from './entries.ts'
import { unreadable } from './errors.ts'
import { withBareNames } from './names.ts'
import { readPt } from './pt.ts'
import { readSafetensors } from './safetensors.ts'
import type { Checkpoint, Weights } from './tensor.ts'

/** The choice of tensors in a file. */
export interface WeightsOptions {
  /**
   * The entry to read, where the file has several: keys joined by dots. Default: as `selectEntry` prefers.
   */
  readonly weights?: string
  /** Prefix of the names of the network's tensors; other names are left out. */
  readonly prefix?: string
}

const WEIGHTS_OPTIONS = ['weights', 'prefix']

/** The tensors that `readWeights` finds. @throws as `readWeights`; CONFIG_INVALID for other options */
export async function readCheckpoint(path: string | URL, options: WeightsOptions = {}): Promise<Checkpoint> {
  // A misspelt option would have other weights read.
  const unknown = Object.keys(options ?? {}).find((name) => !WEIGHTS_OPTIONS.includes(name))
  if (unknown === undefined) return (await readWeights(path, options ?? {})).tensors
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `There is no option ${unknown}`,
    {},
    { remedy: `The options are ${WEIGHTS_OPTIONS.join(', ')}.` },
  )
}

/**
 * Reads a checkpoint: a PyTorch zip (`.pt`, `.pth`) or safetensors. The content decides which, and not the
 * name. Prefixes of wrappers of training (`module.`, `_orig_mod.`, `model.`) are removed from names.
 *
 * @throws CHECKPOINT_UNREADABLE when the file is missing, truncated, damaged or in another format, or has
 *   several state dicts of unknown names
 * @throws CHECKPOINT_UNSAFE when its pickle asks for anything but tensors
 * @throws CONFIG_INVALID when it has no entry `weights`, or no name begins with `prefix`
 * @throws TOO_LARGE when the file has 2 GiB or more
 */
export async function readWeights(
  path: string | URL,
  { weights, prefix }: WeightsOptions = {},
): Promise<Weights> {
  const file = path instanceof URL ? fileURLToPath(path) : path
  const found = await readerFor(await readStart(file, 9))(file, weights)
  return { ...found, tensors: withBareNames(found.tensors, prefix) }
}

/** Zip begins with "PK", a bare pickle with the opcode PROTO, safetensors has JSON after a 64-bit length. */
function readerFor(start: Uint8Array): (path: string, weights?: string) => Promise<Weights> {
  if (start[0] === 0x50 && start[1] === 0x4b) return readPt
  if (start[8] === 0x7b) return readOneStateDict
  if (start[0] === 0x80) throw unreadable("it is in torch's old format; save it again with torch.save")
  throw unreadable('it is neither a PyTorch zip nor safetensors')
}

async function readOneStateDict(file: string, weights?: string): Promise<Weights> {
  if (weights !== undefined) refuseWeights(weights)
  const tensors = await readSafetensors(file)
  return { tensors, entry: '', entries: [{ name: '', tensors: tensors.size }], notes: [] }
}
