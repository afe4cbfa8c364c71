import { PolyVeilError } from '../../errors/index.ts'
import { base64OfText, checkHeaders, type HeaderValues } from './headers.ts'

/** What a caller gives beside the address. */
export interface Credentials {
  readonly headers?: HeaderValues | Headers
  readonly token?: string
}

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
 * @param credentials further headers for every request, and a bearer token
 * @throws CONFIG_INVALID when the address or a header is invalid; the message does not repeat it, since it
 *   may contain a secret
 */
export function serverAddress(url: string | URL, { headers = {}, token }: Credentials = {}): ServerAddress {
  const base = URL.canParse(String(url)) ? new URL(url) : undefined
  if (base === undefined || !/^https?:$/.test(base.protocol)) {
    throw new PolyVeilError('CONFIG_INVALID', 'The server address must be an http or https URL')
  }
  const checked = checkHeaders(headers)
  const authorization = onlyOne([
    { place: 'the server address', value: basicAuthorization(base) },
    { place: 'a header', value: checked.authorization },
    { place: 'the token', value: bearerAuthorization(token) },
  ])
  base.username = ''
  base.password = ''
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  base.search = ''
  base.hash = ''
  return { base, headers: authorization === undefined ? checked : { ...checked, authorization } }
}

interface Placed {
  readonly place: string
  readonly value: string | undefined
}

/** The credentials that one place has. @throws CONFIG_INVALID when several have some */
function onlyOne(placed: readonly Placed[]): string | undefined {
  const given = placed.filter(({ value }) => value !== undefined)
  if (given.length <= 1) return given[0]?.value
  const places = given.map(({ place }) => place).join(' and in ')
  throw new PolyVeilError('CONFIG_INVALID', `Credentials are in ${places}; give one`)
}

/** The characters of RFC 6750, section 2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/

function bearerAuthorization(token: string | undefined): string | undefined {
  if (token === undefined) return undefined
  if (typeof token === 'string' && TOKEN.test(token)) return `Bearer ${token}`
  throw new PolyVeilError('CONFIG_INVALID', 'The token has characters that no bearer token has')
}

function basicAuthorization({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined
  try {
    return `Basic ${base64OfText(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)}`
  } catch {
    throw new PolyVeilError('CONFIG_INVALID', 'The credentials in the server address are not percent-encoded')
  }
}
