import type { Circuit } from '../../circuit/index.ts'
import { roundLogits } from '../../client/index.ts'
import { engineNameFor } from '../../schedule/engine-name.ts'
import type { Progress } from '../output/progress.ts'
import { encryptedBackend } from '../verification/encrypted.ts'
import { runSeparating } from '../verification/in-range.ts'
import type { Side } from './side.ts'

/** A way to classify under encryption, which holds keys until it is closed. */
export interface EncryptedSide extends Side {
  /** What executes the circuit. */
  readonly name: string
  close(): Promise<void>
}

/**
 * Makes keys, and runs client and server in this process. Logits are rounded as those that a client shows.
 *
 * @throws TOO_LARGE as `encryptedBackend`
 */
export async function localSide(circuit: Circuit, progress: Progress): Promise<EncryptedSide> {
  const name = engineNameFor(circuit.parameters)
  progress.step('making keys')
  const backend = await encryptedBackend(circuit, name)
  return {
    name,
    size: circuit.batch,
    async run(images, { first, total }) {
      progress.step(`encrypted: image ${first + images.length} of ${total}`)
      const tensors = images.map(({ tensor }) => tensor)
      const { logits } = await runSeparating(backend, tensors, (done, of) => progress.update(done, of))
      return logits.map((row) => row && roundLogits(row, circuit.output))
    },
    close: () => backend.close(),
  }
}
