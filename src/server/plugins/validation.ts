import type { FastifySchemaCompiler } from 'fastify'
import type { z } from 'zod'
import { badRequest } from '../problems/http-error.ts'
import { issueDescriber, type RequestPart } from '../problems/request-issue.ts'

/** Validates a part of a request. The error of a malformed one is 400 with a sentence and the `field`. */
export const requestValidator: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart = 'body' }) => {
  const describe = issueDescriber(PARTS[httpPart], schema)
  return (data) => {
    const { data: value, error } = schema.safeParse(data)
    if (error === undefined) return { value }
    const { message, field } = describe(data, error)
    return { error: badRequest(message, { field }) }
  }
}

const PARTS: Readonly<Record<string, RequestPart>> = {
  headers: {
    whole: 'The head of the request',
    member: (name) => `The header ${headerTitle(name)}`,
    field: 'headers',
  },
  params: {
    whole: 'The path of the URL',
    member: (name) => `The path parameter ${name}`,
    field: 'params',
  },
  querystring: {
    whole: 'The query of the URL',
    member: (name) => `The query parameter ${name}`,
    field: 'querystring',
  },
  body: { whole: 'The body', member: (name) => `The field ${name} of the body`, field: 'body' },
}

/** A header's name as people write it: Upload-Offset. */
const headerTitle = (name: string): string =>
  name.replaceAll(/(^|-)[a-z]/g, (start) => start.toUpperCase()).replace(/^Polyveil-/, 'PolyVeil-')
