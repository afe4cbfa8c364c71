import { z } from 'zod'

/** Another one for each change that another version could misread. */
export const FORMAT = 1

/** The process that waits for a first output, and by which id. */
const askerSchema = z.object({ process: z.string(), call: z.string() })
export type Asker = z.infer<typeof askerSchema>

/** What a worker process has to know of a query. Its frame is kept beside. */
export const queryJobSchema = z.object({
  /** The version of this schema. */
  format: z.literal(FORMAT),
  /** Names the inference in the cluster. */
  inference: z.string(),
  /** The id that the client knows. */
  id: z.string(),
  model: z.object({ name: z.string(), digest: z.string() }),
  /** Name of the key set. */
  keySet: z.string(),
  isAsync: z.boolean(),
  asker: askerSchema,
  request: z.object({
    id: z.string(),
    ip: z.string(),
    caller: z.looseObject({
      owner: z.string(),
      network: z.string(),
      tenant: z.string().optional(),
      token: z.string().optional(),
      quota: z.looseObject({ inferences: z.number().optional() }),
    }),
    /** Headers of W3C Trace Context. */
    trace: z.record(z.string(), z.string()),
  }),
  /** Images that the query has taken from the budget of its tenant. */
  taken: z.object({ tenant: z.string().optional(), day: z.string(), images: z.int() }),
  /** Seconds that it keeps a worker busy, as planned. */
  seconds: z.number(),
  /** How many times it has begun already, on workers that ended. */
  restarts: z.int(),
})

export type QueryJob = z.infer<typeof queryJobSchema>

/** The asker of a job that cannot be read otherwise. */
export const askerOf = (data: unknown): Asker | undefined =>
  z.object({ asker: askerSchema }).safeParse(data).data?.asker
