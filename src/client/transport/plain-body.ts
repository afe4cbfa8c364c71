import { PolyVeilError } from '../../errors/index.ts'

/** Headers of a request for a body without compression. Encrypted data does not compress. */
export const PLAIN_BODY = { 'accept-encoding': 'identity' } as const

/** Whether requests keep these headers. Browsers drop them and choose the codings themselves. */
const isAsked = new Request('http://localhost', { headers: PLAIN_BODY }).headers.has('accept-encoding')

/**
 * Refuses a body that is compressed although none was asked for. A few bytes of it could become any length,
 * or take a processor's time and yield nothing.
 *
 * @throws CONFIG_INVALID
 */
export function requirePlain({ headers, body }: Response, origin: string): void {
  const coding = headers.get('content-encoding')
  if (!isAsked || coding === null || /^\s*identity\s*$/i.test(coding)) return
  body?.cancel().catch(() => {})
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `The answer of ${origin} is compressed, which the client did not ask for`,
    { origin },
    { remedy: 'Turn off compression in the proxy before the server: encrypted data does not compress.' },
  )
}
