import * as z from 'zod'
import type { InferOptions } from './progress.ts'
import { progressRequest, type RoundReply } from './transport/binary-body.ts'
import type { Transport } from './transport/transport.ts'

/** Between two looks at an inference. */
const LOOK_MILLISECONDS = 250

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const snapshotSchema = z.looseObject({ done: count, total: count, round: count })

/**
 * Reports the operations that the server has done of an inference, four times a second while the inference
 * runs. What the server says is shown and used for nothing else. A failure of these requests does not
 * concern the inference.
 *
 * @param ended aborted when the inference is over
 */
export async function watchExecution(
  transport: Transport,
  reference: Pick<RoundReply, 'inference' | 'keySet'>,
  bytesTotal: number,
  { onProgress, watch }: InferOptions,
  ended: AbortSignal,
): Promise<void> {
  if (onProgress === undefined || !watch) return
  let last = 0
  for (;;) {
    await transport.pause(LOOK_MILLISECONDS, { signal: ended })
    // The server does not know the inference before its query has arrived.
    const snapshot = await look(transport, reference, ended).catch(() => undefined)
    if (ended.aborted) return
    if (snapshot === undefined || snapshot.total === 0 || snapshot.done === last) continue
    const { done, total, round } = snapshot
    last = done
    onProgress({ stage: 'infer', round, bytesDone: 0, bytesTotal, operations: { done, total } })
  }
}

async function look(
  transport: Transport,
  reference: Pick<RoundReply, 'inference' | 'keySet'>,
  signal: AbortSignal,
): Promise<z.infer<typeof snapshotSchema>> {
  return snapshotSchema.parse(await transport.json({ ...progressRequest(reference), signal }))
}
