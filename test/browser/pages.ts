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

/** A directory by the prefix of its paths, and headers that its files have. */
export type Folder = readonly [prefix: string, directory: string, headers?: Readonly<Record<string, string>>]

/**
 * Serves files on this machine under two names: pages of 127.0.0.1 and of localhost have different origins.
 *
 * @param folders the first one whose prefix fits is used
 * @returns the port
 */
export async function servePages(t: Test, folders: readonly Folder[]): Promise<number> {
  const server = createServer(async ({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost')
    if (pathname === '/favicon.ico') return response.writeHead(204).end()
    const [prefix, directory, headers = {}] = folders.find(([start]) => pathname.startsWith(start))!
    const content = await readFile(join(directory, pathname.slice(prefix.length))).catch(() => undefined)
    if (content === undefined) return response.writeHead(404).end()
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
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
