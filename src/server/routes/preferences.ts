import type { FastifyRequest } from 'fastify'
import { PREFER_HEADER } from '../../wire/protocol/index.ts'

/** Whether a request has a preference of RFC 7240 among those of its header `Prefer`. */
export function prefers({ headers }: FastifyRequest, preference: string): boolean {
  const given = [headers[PREFER_HEADER] ?? []].flat().join(',')
  return given.split(/[,;]/).some((each) => each.trim().toLowerCase() === preference)
}
