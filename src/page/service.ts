import { connectInWorker } from '../client/in-worker/connect-in-worker.ts'
import type { WorkerPolyVeil } from '../client/in-worker/worker-polyveil.ts'
import { NetworkError } from '../client/transport/network-error.ts'
import { PolyVeilError } from '../errors/index.ts'
import { keepsData } from './kept-keys.ts'

/** What the page needs of a connection. */
export type PrivateClient = Pick<
  WorkerPolyVeil,
  'models' | 'manifest' | 'keys' | 'encrypt' | 'infer' | 'decrypt' | 'keySets' | 'forget' | 'close'
>

/** A connection, with what is known of its keys. */
export interface PageConnection {
  readonly client: PrivateClient
  /**
   * Whether keys outlive the page. Otherwise they are in memory, as the browser gives the page no database.
   */
  readonly keepsKeys: boolean
}

/** Connects to the service that sent the page, in a Web Worker. @throws as `connectInWorker` */
export async function connectTo(service: URL, token: string | undefined): Promise<PageConnection> {
  const keepsKeys = await keepsData()
  const store = keepsKeys ? 'indexeddb' : 'memory'
  const client = await connectInWorker(service, { store, ...(token !== undefined && { token }) })
  return { client, keepsKeys }
}

/** Whether the connection itself has ended, with the Web Worker that it worked in. */
export const isEnded = (error: unknown): boolean =>
  error instanceof PolyVeilError && error.facts.webWorker === true

/** A file of the service. @throws SERVER_UNREACHABLE when it does not come */
export async function fileOf(address: URL, headers?: Headers): Promise<Response> {
  const answer = await answerOf(address, headers)
  if (answer.ok) return answer
  throw new PolyVeilError('SERVER_UNREACHABLE', `The server answers ${answer.status} to ${address.pathname}`)
}

/** An answer of the service, whatever its status. @throws SERVER_UNREACHABLE when none comes */
export const answerOf = (address: URL, headers?: Headers): Promise<Response> =>
  fetch(address, { headers }).catch((cause: unknown) => {
    throw new NetworkError({ base: address, sentBytes: 0 }, cause)
  })
