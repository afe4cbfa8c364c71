import { isIPv4, isIPv6 } from 'node:net'

/**
 * The address that limits count by: an IPv4 address, or the /64 network of an IPv6 address, since one host
 * commonly has the whole network. Some proxies append the client's port, which changes with each connection;
 * it is removed. Other text stays unchanged.
 */
export const countedAddress = (text: string): string => counted(text, 4)

/**
 * The network of several counted addresses that one host may have: an IPv4 address, or the /48 network of an
 * IPv6 address, since providers assign households up to that.
 */
export const countedNetwork = (text: string): string => counted(text, 3)

/** @param prefix groups of 16 bits that an IPv6 network has in common */
function counted(text: string, prefix: number): string {
  const ip = withoutPort(text)
  if (!isIPv6(ip)) return ip.slice(0, MAX_TEXT)
  const groups = groupsOf(ip)
  if (isMapped(groups)) return dotted(groups[6], groups[7])
  const network = groups.slice(0, prefix).map((group) => group.toString(16))
  return `${network.join(':')}::/${16 * prefix}`
}

const MAX_TEXT = 64

/** An address as logs show it. What a proxy passes on as an address may be any text of a client. */
export const shownAddress = (text: string): string => text.slice(0, MAX_TEXT)

/** The address in `192.0.2.1:5678` or `[2001:db8::1]:5678`. */
function withoutPort(text: string): string {
  const [, four, six] = /^(?:([^:[\]]+):\d+|\[(.+)\](?::\d+)?)$/.exec(text) ?? []
  if (isIPv4(four ?? '')) return four
  return isIPv6(six ?? '') ? six : text
}

/** The eight groups of an IPv6 address. */
function groupsOf(ip: string): number[] {
  // Canonical form, without the zone that link-local addresses have.
  const text = new URL(`http://[${ip.replace(/%.*$/, '')}]/`).hostname.slice(1, -1)
  const [head, tail] = text.split('::').map((half) => half.split(':').filter(Boolean))
  const zeros = tail === undefined ? 0 : 8 - head.length - tail.length
  return [...head, ...Array(zeros).fill('0'), ...(tail ?? [])].map((group) => Number.parseInt(group, 16))
}

/** Sockets that take both protocols show IPv4 addresses as ::ffff:a.b.c.d. */
const isMapped = (groups: readonly number[]): boolean =>
  groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff

const dotted = (high: number, low: number): string => [high >> 8, high & 255, low >> 8, low & 255].join('.')
