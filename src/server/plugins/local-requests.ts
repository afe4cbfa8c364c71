import type { FastifyReply, FastifyRequest } from 'fastify'
import { isLocalHost } from '../access/local-host.ts'
import { HttpError } from '../problems/http-error.ts'
import type { App } from '../services.ts'
import { refusalPage } from './refusal-page.ts'

/**
 * Refuses requests that do not come from this machine itself, for a service that is open because only this
 * machine reaches its address. Two ways lead there from elsewhere: a proxy in front that `trustProxy` does
 * not name, and a web page whose name was made to stand for a loopback address (DNS rebinding). Health checks
 * stay open. People with a browser get a page that says what to do.
 */
export function useLocalRequests(app: App): void {
  // After the rate limit, and before the body is read.
  app.addHook('preParsing', async (request, reply) => {
    const { isProbe, access } = request.routeOptions.config ?? {}
    if (isProbe && access === 'open') return
    const why = reasonToRefuse(request)
    if (why === undefined) return
    reply.header('vary', 'accept')
    if (!request.headers.accept?.includes('text/html')) throw refused(why)
    return sendPage(request, reply, why)
  })
}

function reasonToRefuse(request: FastifyRequest): string | undefined {
  const header = forwardingHeader(request)
  if (header !== undefined) return `it came by way of a proxy (header ${header})`
  return isLocalHost(request.headers.host) ? undefined : 'its header Host names no loopback address'
}

function forwardingHeader({ headers }: FastifyRequest): string | undefined {
  return Object.keys(headers).find((name) => NAMES.includes(name) || name.startsWith('x-forwarded-'))
}

const NAMES = ['forwarded', 'via', 'x-real-ip']

function sendPage({ headers, socket }: FastifyRequest, reply: FastifyReply, why: string): FastifyReply {
  const { code, status } = refused(why)
  reply.problemCode = code
  return reply
    .code(status)
    .type('text/html; charset=utf-8')
    .header('cache-control', 'no-store')
    .send(refusalPage({ why, host: headers.host, port: socket.localPort }))
}

const refused = (why: string): HttpError =>
  new HttpError(
    403,
    'FORBIDDEN',
    `The service is open to requests of its own machine only, and refuses this one: ${why}. The operator may set ` +
      'access to tokens or open, and with a proxy in front trustProxy',
    {},
    { remedy: 'Use a loopback address such as 127.0.0.1, or ask the operator of the service for access.' },
  )
