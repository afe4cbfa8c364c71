import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import type { Test } from 'tap'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.wasm': 'application/wasm',
}

/**
 * Serves files on this machine under two names: pages of 127.0.0.1 and of localhost have different origins.
 *
 * @param folders directories by the prefix of their paths; the first matching one is used
 * @returns the port
 */
export async function servePages(
  t: Test,
  folders: readonly (readonly [prefix: string, directory: string])[],
): Promise<number> {
  const server = createServer(async ({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost')
    if (pathname === '/favicon.ico') return response.writeHead(204).end()
    const [prefix, directory] = folders.find(([start]) => pathname.startsWith(start))!
    const content = await readFile(join(directory, pathname.slice(prefix.length))).catch(() => undefined)
    if (content === undefined) return response.writeHead(404).end()
    response.setHeader('content-type', TYPES[extname(pathname)] ?? 'application/octet-stream')
    response.end(content)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}
