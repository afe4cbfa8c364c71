import { PolyVeilError } from '../../errors/index.ts'

/** How a connection failed, in a word for programs. */
export type NetworkReason =
  | 'dns'
  | 'refused'
  | 'unreachable'
  | 'certificate'
  | 'tls'
  | 'no-http'
  | 'port'
  | 'silent'
  | 'broken'
  | 'unknown'

/** The request that failed. */
export interface FailedRequest {
  /** The server's address, without credentials. */
  readonly base: URL
  /** Bytes of its body. */
  readonly sentBytes: number
}

/** The network failed and not the server: the request may or may not have arrived. */
export class NetworkError extends PolyVeilError {
  readonly reason: NetworkReason

  constructor(request: FailedRequest, cause: unknown) {
    const { reason, message, remedy } = troubleOf(request, cause)
    const { origin } = request.base
    super('SERVER_UNREACHABLE', message, { origin, reason }, { cause, remedy })
    this.reason = reason
  }
}

/**
 * What ends a request whose server has been silent for too long, or too slow. Its message says what the
 * server was.
 */
export class Silence extends Error {
  override readonly name = 'Silence'
}

interface Trouble {
  readonly reason: NetworkReason
  readonly message: string
  readonly remedy?: string
}

function troubleOf({ base, sentBytes }: FailedRequest, cause: unknown): Trouble {
  const { host, hostname, origin } = base
  const silence = causes(cause).find((each) => each instanceof Silence)
  if (silence) return silent(`The server at ${origin} was ${silence.message}`)
  if (causes(cause).some(({ message }) => message === 'bad port')) {
    return {
      reason: 'port',
      message: `No request goes to ${host}: the Fetch standard blocks this port`,
      remedy: 'Have the server listen on another port.',
    }
  }
  const code = codeIn(cause)
  switch (reasonOf(code)) {
    case 'dns':
      return {
        reason: 'dns',
        message: `The server's name ${hostname} cannot be resolved (${code})`,
        remedy: 'Check the spelling of the address and the DNS of this machine; then try again.',
      }
    case 'refused':
      return {
        reason: 'refused',
        message: `The server cannot be reached: nothing listens at ${host} (${code})`,
        remedy: 'Check host and port, and that the server runs there (polyveil serve); then try again.',
      }
    case 'unreachable':
      return {
        reason: 'unreachable',
        message: `The server cannot be reached: ${host} takes no connection (${code})`,
        remedy: 'Check the address, firewalls and the VPN in between; then try again.',
      }
    case 'certificate':
      return {
        reason: 'certificate',
        message: `The certificate of ${host} is not trusted (${code})`,
        remedy:
          'Use the name that the certificate is for, or have Node trust its issuer: NODE_EXTRA_CA_CERTS=issuer.pem.',
      }
    case 'tls':
      return {
        reason: 'tls',
        message: `The server at ${host} does not speak TLS as this client does (${code})`,
        remedy: 'Check that the port is the one of https; a server without TLS has an address of http://.',
      }
    case 'no-http':
      return {
        reason: 'no-http',
        message: `The server at ${host} does not speak HTTP (${code})`,
        remedy: 'Check the port; one that speaks TLS has an address of https://.',
      }
    case 'silent':
      return silent(`The server at ${origin} was silent for too long (${code})`)
    case 'broken':
      return broken(origin, sentBytes, `(${code})`)
    default:
      return unknown(origin, sentBytes)
  }
}

const silent = (message: string): Trouble => ({
  reason: 'silent',
  message,
  remedy: 'See whether the server, or a proxy in between, is overloaded or stuck; then try again.',
})

/** A proxy that has a limit may close the connection while the body is still coming, without an answer. */
const broken = (origin: string, sentBytes: number, code: string): Trouble => ({
  reason: 'broken',
  message:
    sentBytes > 0
      ? `The connection to ${origin} broke off while ${sentBytes} bytes were being sent ${code}`
      : `The connection to ${origin} broke off ${code}`,
  remedy:
    'Check that the server still runs, and the network in between' +
    (sentBytes > 0 ? '; a proxy may limit bodies (client_max_body_size in nginx)' : '') +
    '; then try again.',
})

/** Browsers do not say what failed, not even that a page may not read the answer. */
const unknown = (origin: string, sentBytes: number): Trouble => ({
  reason: 'unknown',
  message:
    `The server at ${origin} cannot be reached, or the connection broke off` +
    (sentBytes > 0 ? ` while ${sentBytes} bytes were being sent` : ''),
  remedy:
    'Check the address, that the server runs, and the network in between; for a web page also that the server allows ' +
    'its origin (allowedOrigins). Then try again.',
})

function reasonOf(code: string | undefined): NetworkReason {
  if (code === undefined) return 'unknown'
  if (/^(ENOTFOUND|EAI_\w+)$/.test(code)) return 'dns'
  if (code === 'ECONNREFUSED') return 'refused'
  if (/^(EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/.test(code))
    return 'unreachable'
  if (/CERT|^UNABLE_TO|SELF_SIGNED|^HOSTNAME_MISMATCH|^INVALID_CA/.test(code)) return 'certificate'
  if (/^(EPROTO|ERR_SSL_|ERR_TLS_)/.test(code)) return 'tls'
  if (/^(HPE_|HTTPParserError$)/.test(code)) return 'no-http'
  if (/^UND_ERR_(HEADERS|BODY)_TIMEOUT$/.test(code)) return 'silent'
  return 'broken'
}

/** An error and what caused it, from the outside in. */
function causes(error: unknown): Error[] {
  const found: Error[] = []
  for (let next = error; next instanceof Error && found.length < 8; next = next.cause) found.push(next)
  return found
}

/** The parser of Node's fetch gives its errors a name and no code. */
const codeIn = (cause: unknown): string | undefined =>
  causes(cause)
    .map((each) => (each as { code?: string }).code ?? (/Parser/.test(each.name) ? each.name : undefined))
    .find((code) => typeof code === 'string')
