import { fileURLToPath } from 'node:url'
import { readStart } from './checkpoint-file.ts'
import { unreadable } from './errors.ts'
import { readPt } from './pt.ts'
import { readSafetensors } from './safetensors.ts'
import type { Checkpoint, CheckpointTensor } from './tensor.ts'

/** What a checkpoint saved from a DataParallel model puts before every name. */
const PARALLEL_PREFIX = 'module.'

/**
 * Reads a checkpoint, a PyTorch zip (`.pt`, `.pth`) or safetensors; the content decides which, not the name. A leading
 * `module.` is stripped from names.
 *
 * @throws CHECKPOINT_UNREADABLE when the file is missing, truncated, damaged or in another format
 * @throws CHECKPOINT_UNSAFE when its pickle asks for anything but tensors
 * @throws TOO_LARGE when the file has 2 GiB or more
 */
export async function readCheckpoint(path: string | URL): Promise<Checkpoint> {
  const file = path instanceof URL ? fileURLToPath(path) : path
  const checkpoint = await readerFor(await readStart(file, 9))(file)
  return stripPrefix(checkpoint)
}

/** Zip begins with "PK", a bare pickle with the opcode PROTO, safetensors has JSON after a 64-bit length. */
function readerFor(start: Uint8Array): (path: string) => Promise<Checkpoint> {
  if (start[0] === 0x50 && start[1] === 0x4b) return readPt
  if (start[8] === 0x7b) return readSafetensors
  if (start[0] === 0x80) throw unreadable("it is in torch's old format; save it again with torch.save")
  throw unreadable('it is neither a PyTorch zip nor safetensors')
}

function stripPrefix(checkpoint: Checkpoint): Checkpoint {
  const stripped = new Map<string, CheckpointTensor>()
  for (const [name, tensor] of checkpoint) {
    const bare = name.startsWith(PARALLEL_PREFIX) ? name.slice(PARALLEL_PREFIX.length) : name
    if (stripped.has(bare)) throw unreadable(`it has two tensors ${bare}`, { tensor: bare })
    stripped.set(bare, tensor)
  }
  return stripped
}
