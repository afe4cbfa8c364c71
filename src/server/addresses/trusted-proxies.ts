import { isIP } from 'node:net'
import { z } from 'zod'

/** Networks that have names, as Fastify knows them. */
const NAMED = ['loopback', 'linklocal', 'uniquelocal']

const network = z.string().refine(isNetwork, {
  message: `must be addresses, networks such as 10.0.0.0/8, or ${NAMED.join(', ')}`,
})

/**
 * The setting `trustProxy`: true or false, the number of proxies in a row, or their addresses and networks.
 * In the environment a list has commas.
 */
export const trustedProxies = z
  .union([
    z.boolean(),
    z.int().min(0).max(100),
    z.array(z.string()).pipe(z.array(network).max(1000)),
    z
      .string()
      .transform(fromText)
      .pipe(z.union([z.boolean(), z.int().max(100), z.array(network).max(1000)])),
  ])
  .default(false)

export type TrustedProxies = boolean | number | readonly string[]

/** The setting as Fastify takes it. */
export function trusted(
  proxies: TrustedProxies,
): boolean | string[] | ((address: string, hop: number) => boolean) {
  if (typeof proxies === 'number') return (_address, hop) => hop < proxies
  return typeof proxies === 'boolean' ? proxies : [...proxies]
}

function fromText(text: string): boolean | number | string[] {
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^\d+$/.test(text)) return Number(text)
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function isNetwork(text: string): boolean {
  if (NAMED.includes(text)) return true
  const [address, length, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (family === 4 ? 32 : 128))
}
