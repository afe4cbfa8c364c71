import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

const ID_BYTES = 8
const SECRET_BYTES = 32
const FORM = /^pv_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/

/** The parts of a bearer token: `pv_ID_SECRET`. The id is public, for instance in logs. */
export interface TokenParts {
  /** 16 hexadecimal digits. */
  readonly id: string
  /** 256 random bits as base64url. */
  readonly secret: string
}

export const newToken = (): TokenParts => ({
  id: randomBytes(ID_BYTES).toString('hex'),
  secret: randomBytes(SECRET_BYTES).toString('base64url'),
})

export const tokenText = ({ id, secret }: TokenParts): string => `pv_${id}_${secret}`

/** The parts of a token; undefined when the text is none. */
export function tokenParts(text: string): TokenParts | undefined {
  const match = FORM.exec(text)
  return match === null ? undefined : { id: match[1], secret: match[2] }
}

/**
 * What is stored of a secret: its SHA-256 in hex. A secret has 256 random bits, so no slow hash is needed:
 * no one can guess it.
 */
export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')

/** Whether a secret has this hash, in a time that does not depend on either. */
export const hasHash = (secret: string, hash: string): boolean =>
  timingSafeEqual(Buffer.from(hashOf(secret), 'hex'), Buffer.from(hash, 'hex'))
