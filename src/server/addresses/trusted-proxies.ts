import { BlockList, isIP, isIPv6 } from 'node:net'
import { z } from 'zod'

/** Networks that have names, as Fastify knows them. */
const NAMED: Readonly<Record<string, readonly string[] | undefined>> = {
  loopback: ['127.0.0.0/8', '::1'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

const network = z.string().refine(isNetwork, {
  message: `must be addresses, networks such as 10.0.0.0/8, or ${Object.keys(NAMED).join(', ')}`,
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

/**
 * Whether the sender of a connection may be one of the proxies. A number of proxies, and `true`, do not say
 * which addresses they have, so that any sender may be one.
 */
export function mayBeProxy(proxies: TrustedProxies): (address: string) => boolean {
  if (typeof proxies === 'boolean') return () => proxies
  if (typeof proxies === 'number') return () => proxies > 0
  const list = new BlockList()
  for (const network of proxies.flatMap((each) => NAMED[each] ?? each)) addTo(list, network)
  return (address) => list.check(address.replace(/%.*$/, ''), familyOf(address))
}

function addTo(list: BlockList, network: string): void {
  const [address, length] = network.split('/')
  const family = familyOf(address)
  list.addSubnet(address, Number(length ?? (family === 'ipv4' ? 32 : 128)), family)
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv6(address) ? 'ipv6' : 'ipv4')

function fromText(text: string): boolean | number | string[] {
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^\d+$/.test(text)) return Number(text)
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function isNetwork(text: string): boolean {
  if (text in NAMED) return true
  const [address, length, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (family === 4 ? 32 : 128))
}
