import { z } from 'zod'
import { PROBLEM_MEDIA_TYPE, problemSchema } from '../../wire/protocol/index.ts'
import { type ProblemStatus, problemMeaning } from './route-responses.ts'

/**
 * Response schemas of a route: those of success, and problem details for the statuses that not every route
 * has.
 */
export const responses = <T extends object>(good: T, ...problems: ProblemStatus[]): T =>
  Object.assign({}, ...problems.map((status) => ({ [status]: problem(status) })), good)

const problem = (status: ProblemStatus) => ({
  description: problemMeaning(status),
  content: { [PROBLEM_MEDIA_TYPE]: { schema: problemSchema } },
})

/** Schema of a binary response. @param more further members, such as `jsonHeader` gives */
export const bytesResponse = (mediaType: string, description: string, more: object = {}) => ({
  description,
  content: {
    [mediaType]: { schema: z.any().meta({ type: 'string', contentMediaType: mediaType, ...more }) },
  },
})

export const emptyResponse = (description: string) => z.null().describe(description)

/**
 * Says that a binary body begins with a JSON document of this schema; OpenAPI has no member of its own for
 * it.
 */
export const jsonHeader = (schema: string): object => ({
  'x-json-header': { $ref: `#/components/schemas/${schema}` },
})
