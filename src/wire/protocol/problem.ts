import * as z from 'zod'

/**
 * JSON document of every error: the members of RFC 9457, `error` of the Open Inference Protocol, PolyVeil's
 * code and remedy, then the facts.
 */
export const problemSchema = z
  .looseObject({
    type: z.string().describe('urn:polyveil:error: and the code'),
    title: z.string().describe('What the code means'),
    status: z.int(),
    detail: z.string().describe('What happened, with the facts'),
    code: z.string().describe('One of the codes of docs/errors.md'),
    error: z.string().describe('The detail again, as the Open Inference Protocol names it'),
    remedy: z.string(),
    requestId: z.string().describe('Names the request in the server log'),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details; further members are facts about the error' })

export type Problem = z.infer<typeof problemSchema>

/** Members of a problem document that present the error; the others are facts about it. */
export const PRESENTATION_MEMBERS: ReadonlySet<string> = new Set([
  'type',
  'title',
  'status',
  'detail',
  'code',
  'error',
  'remedy',
  'instance',
])
