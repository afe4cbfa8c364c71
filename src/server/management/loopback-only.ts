import { isLocalHost } from '../access/local-host.ts'
import { HttpError } from '../problems/http-error.ts'
import type { App } from '../services.ts'

/**
 * Keeps web pages out of an app that needs no token. The name of an attacker's page may resolve to this
 * machine (DNS rebinding), so requests must name a loopback host. Browsers add `Origin` to what pages of
 * other hosts send, and operators' programs do not.
 */
export function useLoopbackOnly(app: App): void {
  app.addHook('onRequest', async ({ headers: { host, origin } }) => {
    if (!isLocalHost(host)) {
      throw refused('The management port without tokens takes requests to a loopback name alone: 127.0.0.1')
    }
    if (origin !== undefined)
      throw refused('The management port without tokens takes no requests of web pages')
  })
}

const refused = (message: string): HttpError =>
  new HttpError(
    403,
    'FORBIDDEN',
    message,
    {},
    {
      remedy:
        'Use the address http://127.0.0.1 and the managementPort, or have the port need tokens: managementAccess=tokens ' +
        '(POLYVEIL_MANAGEMENT_ACCESS).',
    },
  )
