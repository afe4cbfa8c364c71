import { isLoopback } from './open-tenants.ts'

/**
 * Whether the header `Host` has a loopback name. A web page whose name was made to stand for a loopback
 * address (DNS rebinding) has another. Only old clients send none, and no web browser.
 */
export function isLocalHost(host: string | undefined): boolean {
  if (host === undefined) return true
  const address = `http://${host}/`
  if (!URL.canParse(address)) return false
  const name = new URL(address).hostname.replace(/^\[(.*)\]$/, '$1')
  return isLoopback(name) || name.endsWith('.localhost')
}
