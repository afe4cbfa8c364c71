import type { FastifyContentTypeParser, FastifyRequest } from 'fastify'
import { PolyVeilError } from '../../errors/index.ts'
import { badRequest } from '../problems/http-error.ts'

/**
 * A parser that takes a body as bytes. Fastify's own limits are constants, and what a body may have changes
 * with the models that are served.
 *
 * @param limitOf the most bytes that a request may have; asked when the request begins
 * @param onBytes called with the number of bytes that have arrived, again and again
 * @returns a parser that rejects with TOO_LARGE; CONFIG_INVALID (400) when a body ends before its length
 */
export const limitedBody =
  (
    limitOf: (request: FastifyRequest) => number,
    onBytes: (request: FastifyRequest, bytes: number) => void = () => {},
  ): FastifyContentTypeParser =>
  (request, payload, done) => {
    const limit = limitOf(request)
    const length = request.headers['content-length']
    const chunks: Buffer[] = []
    let received = 0
    const end = (error: Error | null, body?: Buffer): void => {
      payload.off('data', take).off('end', finish).off('error', fail)
      done(error, body)
    }
    const take = (chunk: Buffer): void => {
      received += chunk.length
      onBytes(request, chunk.length)
      if (received > limit) end(tooLarge(limit))
      else chunks.push(chunk)
    }
    const finish = (): void => {
      const isWhole = length === undefined || received === Number(length)
      if (isWhole) end(null, Buffer.concat(chunks))
      else end(badRequest(`The body has ${received} bytes, and Content-Length says ${length}`))
    }
    // The connection has broken off, so that nobody reads the answer; it is no fault of the server.
    const fail = (): void => end(badRequest('The body was not sent to its end'))
    if (Number(length) > limit) done(tooLarge(limit))
    else payload.on('data', take).on('end', finish).on('error', fail)
  }

const tooLarge = (maxBytes: number): PolyVeilError =>
  new PolyVeilError('TOO_LARGE', `The body is larger than this route takes: ${maxBytes} bytes`, { maxBytes })
