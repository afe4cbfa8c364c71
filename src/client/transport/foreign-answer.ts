import { type ErrorCodeName, PolyVeilError } from '../../errors/index.ts'
import { MAX_PART_BYTES } from '../../wire/protocol/index.ts'

const MEGABYTE = 2 ** 20
/** Body size that a proxy has to allow for any part of a key set. */
const PART_MEGABYTES = MAX_PART_BYTES / MEGABYTE

const PASS_ERRORS = 'have it pass them on (proxy_intercept_errors off in nginx)'

/** Facts about an answer of another program than a PolyVeil server. */
export interface ForeignReply {
  readonly origin: string
  readonly method: string
  readonly status: number
  /** Its `Server` and `Content-Type`; null when absent, or hidden by a browser. */
  readonly server: string | null
  readonly contentType: string | null
  /** Of a redirect. */
  readonly location: string | null
  /** Bytes of the request's body. */
  readonly sentBytes: number
  /** Whether the request names a key set. */
  readonly namesKeySet: boolean
  /** Whether the request's path names an inference. */
  readonly namesInference: boolean
}

/**
 * The error for an answer of another program: a proxy in front of the server, or another service at the
 * address.
 */
export class ForeignAnswer extends PolyVeilError {
  readonly status: number

  constructor(reply: ForeignReply) {
    const { code, message, remedy } = meaningOf(reply)
    const { origin, status, sentBytes } = reply
    const proxy = productOf(reply.server)
    const facts = { origin, status, ...(proxy && { proxy }), ...(sentBytes > 0 && { sentBytes }) }
    super(code, message, facts, { remedy })
    this.status = status
  }
}

interface Meaning {
  readonly code: ErrorCodeName
  readonly message: string
  readonly remedy: string
}

function meaningOf(reply: ForeignReply): Meaning {
  const { origin, status, server, namesKeySet, namesInference } = reply
  const product = productOf(server)
  const proxy = `A proxy in front of ${origin}${product ? ` (${product})` : ''}`
  switch (status) {
    case 401:
      return {
        code: 'UNAUTHENTICATED',
        message: `${proxy} asks for credentials (status 401)`,
        remedy:
          'Give them in the address, https://user:password@host, or in a header: --header, or `headers` of connect.',
      }
    case 403:
      return {
        code: 'FORBIDDEN',
        message: `${proxy} does not let the request through (status 403)`,
        remedy: 'Check the credentials, in the address or in a header, and what the proxy allows.',
      }
    case 404:
      return namesInference ? inferenceGone(proxy) : elsewhere(reply)
    case 410:
      return namesKeySet ? keysGone(proxy) : elsewhere(reply)
    case 413:
      return tooLarge(proxy, reply)
    case 429:
    case 503:
      return {
        code: 'TOO_BUSY',
        message: `${proxy} takes no more requests now, or has no server behind it (status ${status})`,
        remedy:
          'Try again later; check that the server behind the proxy runs, and what the proxy allows each address.',
      }
    case 504:
      return {
        code: 'SERVER_UNREACHABLE',
        message: `${proxy} did not wait for the server's answer (status 504)`,
        remedy:
          "Raise the proxy's time limit above what an inference takes: proxy_read_timeout 300s in nginx.",
      }
    default:
      if (status >= 500) {
        return {
          code: 'SERVER_UNREACHABLE',
          message: `${proxy} has no answer from the server (status ${status})`,
          remedy: 'Check that the server behind the proxy runs, and that the proxy leads to it.',
        }
      }
      return status >= 300 && status < 400 ? redirect(reply) : elsewhere(reply)
  }
}

/**
 * The server's answer about a key set that it does not have, with a page of the proxy in its place. Its code
 * is the server's, so that clients upload keys again.
 */
const keysGone = (proxy: string): Meaning => ({
  code: 'KEYS_EXPIRED',
  message: `${proxy} answers with a page of its own that the key set is gone (status 410)`,
  remedy: `The SDK uploads the keys again. The proxy replaces the server's error pages: ${PASS_ERRORS}.`,
})

/** The server's answer about an inference that it does not know any more, with a page in its place. */
const inferenceGone = (proxy: string): Meaning => ({
  code: 'INFERENCE_UNKNOWN',
  message: `${proxy} answers with a page of its own that the inference is gone (status 404)`,
  remedy: `The SDK's classify begins again. The proxy replaces the server's error pages: ${PASS_ERRORS}.`,
})

function tooLarge(proxy: string, { method, sentBytes }: ForeignReply): Meaning {
  const megabytes = Math.max(PART_MEGABYTES, Math.ceil(sentBytes / MEGABYTE) + 1)
  const whole = method === 'POST' ? ', and this one cannot be sent in parts' : ''
  return {
    code: 'TOO_LARGE',
    message: `${proxy} refuses a request body of ${sentBytes} bytes (status 413)${whole}`,
    remedy: `Have the proxy take bodies of ${megabytes} MB: client_max_body_size ${megabytes}m in nginx, and its like in others.`,
  }
}

function redirect({ origin, status, location }: ForeignReply): Meaning {
  const target = location !== null && URL.canParse(location, origin) ? new URL(location, origin) : undefined
  const where =
    target && /^https?:$/.test(target.protocol) ? `${target.origin}${target.pathname}` : 'another address'
  return {
    code: 'CONFIG_INVALID',
    message: `${origin} redirects to ${where} (status ${status}), and keys go only to the address that was given`,
    remedy: 'Give the address that it leads to, if that is the server.',
  }
}

function elsewhere({ origin, status, server, contentType }: ForeignReply): Meaning {
  const type = contentType?.split(';')[0].trim() ?? ''
  const product = productOf(server)
  const facts = [
    `status ${status}`,
    ...(/^[\w.+-]+\/[\w.+-]+$/.test(type) ? [type] : []),
    ...(product ? [`from ${product}`] : []),
  ]
  const address = 'Check the address: scheme, port, and the path where the server lies behind a prefix.'
  return {
    code: 'CONFIG_INVALID',
    message: `The answer of ${origin} (${facts.join(', ')}) is not what a PolyVeil server gives`,
    remedy:
      status >= 400
        ? `${address} If they are right, a proxy replaces the server's error pages: ${PASS_ERRORS}.`
        : address,
  }
}

/**
 * The first product in the `Server` header, with its version: a word, so that it is not read as a message of
 * the program.
 */
const productOf = (server: string | null): string | undefined => server?.match(/^[\w.+/-]{1,60}/)?.[0]
