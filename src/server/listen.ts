import { PolyVeilError } from '../errors/index.ts'
import type { App } from './services.ts'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

const LISTEN_TROUBLES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'a program listens there already',
  EACCES: 'this user may not, as below port 1024',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the name cannot be resolved',
}
const LISTEN_REMEDY = 'Choose another port or host, or end the program that listens there.'

/**
 * Opens the port of an app, or closes the app.
 *
 * @returns the address
 * @throws CONFIG_INVALID
 */
export async function listen(app: App, { host, port }: ListenAddress): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (cause) {
    await app.close()
    const { code } = cause as NodeJS.ErrnoException
    if (code === undefined) throw cause
    const why = LISTEN_TROUBLES[code] ?? 'the system refuses it'
    const message = `The server cannot listen on ${host}:${port}: ${why} (${code})`
    throw new PolyVeilError('CONFIG_INVALID', message, { host, port }, { cause, remedy: LISTEN_REMEDY })
  }
}
