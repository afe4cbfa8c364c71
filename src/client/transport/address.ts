import { PolyVeilError } from '../../errors/index.ts'
import { base64OfText, checkHeaders, type HeaderValues } from './headers.ts'

/** A server's address, and the headers of every request to it. */
export interface ServerAddress {
  /** Ends in a slash, and has no credentials, so that messages can show it. */
  readonly base: URL
  readonly headers: HeaderValues
}

/**
 * Reads the address of a server. Credentials in it, `https://user:password@host`, become an `Authorization`
 * header (Basic, RFC 7617) and appear nowhere else.
 *
 * @param url http or https; a path is kept, for servers behind a prefix
 * @param headers further headers for every request
 * @throws CONFIG_INVALID when the address or a header is invalid; the message does not repeat it, since it
 *   may contain a secret
 */
export function serverAddress(url: string | URL, headers: HeaderValues | Headers = {}): ServerAddress {
  const base = URL.canParse(String(url)) ? new URL(url) : undefined
  if (base === undefined || !/^https?:$/.test(base.protocol)) {
    throw new PolyVeilError('CONFIG_INVALID', 'The server address must be an http or https URL')
  }
  const authorization = basicAuthorization(base)
  const checked = checkHeaders(headers)
  if (authorization !== undefined && 'authorization' in checked) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      'Credentials are in the server address and in a header; give one',
    )
  }
  base.username = ''
  base.password = ''
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  base.search = ''
  base.hash = ''
  return { base, headers: authorization === undefined ? checked : { ...checked, authorization } }
}

function basicAuthorization({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined
  try {
    return `Basic ${base64OfText(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)}`
  } catch {
    throw new PolyVeilError('CONFIG_INVALID', 'The credentials in the server address are not percent-encoded')
  }
}
