import { z } from 'zod'
import { INFERENCE_STATES } from '../../inference/inference.ts'

// What the processes of a cluster call each other for. Bytes travel behind the data.

/** An inference, by its name in the cluster. */
const inference = z.object({ inference: z.string() })

/** Data of calls and words that worker processes act on. */
export const WORKER_CALLS = {
  moment: inference.extend({ after: z.int().optional() }),
  enter: inference.extend({ token: z.string() }),
  leave: z.object({ token: z.string() }),
  freeRequest: inference,
  output: inference.extend({ number: z.int() }),
  /** The body is the frame. */
  reply: inference.extend({ round: z.int() }),
  /** A word: so many bytes of a reply have arrived. */
  receives: inference.extend({ bytes: z.int() }),
  cancel: inference,
  stop: inference.extend({ reason: z.string() }),
  underWay: z.null(),
  stopHandle: z.object({ handle: z.string(), reason: z.string() }),
  /** By the digest of the parameters, and the name of the key set. */
  checkKeys: z.object({ parameters: z.string(), keySet: z.string() }),
  /** A word: a job may be there. */
  wake: z.null(),
} as const

export type WorkerCall = keyof typeof WORKER_CALLS
export type WorkerCallData<Name extends WorkerCall> = z.infer<(typeof WORKER_CALLS)[Name]>

/** A word of a worker that has taken a job. */
export const TAKEN = 'taken'
export const takenSchema = z.object({ call: z.string() })

const snapshotSchema = z.object({
  id: z.string(),
  model: z.string(),
  state: z.enum(INFERENCE_STATES),
  done: z.int(),
  total: z.int(),
  round: z.int(),
  rounds: z.int(),
  seconds: z.number(),
})

/** Answers to calls, where they have data. */
export const momentSchema = z.object({ version: z.int(), running: z.boolean(), snapshot: snapshotSchema })
export const outputSchema = z.object({ jsonBytes: z.int() })
export const underWaySchema = z.array(
  z.object({
    handle: z.string(),
    snapshot: snapshotSchema,
    client: z.object({ tenant: z.string().optional(), keySet: z.string() }),
  }),
)
export const checkedKeysSchema = z.object({ galoisElements: z.array(z.int()), digest: z.string() })
