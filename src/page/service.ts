import { connectInWorker } from '../client/in-worker/connect-in-worker.ts'
import type { WorkerPolyVeil } from '../client/in-worker/worker-polyveil.ts'
import { NetworkError } from '../client/transport/network-error.ts'
import { PolyVeilError } from '../errors/index.ts'

/** What the page needs of a connection. */
export type PrivateClient = Pick<
  WorkerPolyVeil,
  'models' | 'manifest' | 'keys' | 'encrypt' | 'infer' | 'decrypt' | 'keySets' | 'forget' | 'close'
>

/** Connects to the service that sent the page, in a Web Worker. @throws as `connectInWorker` */
export const connectTo = (service: URL, token: string | undefined): Promise<PrivateClient> =>
  connectInWorker(service, token === undefined ? {} : { token })

/** Whether the connection itself has ended, with the Web Worker that it worked in. */
export const isEnded = (error: unknown): boolean =>
  error instanceof PolyVeilError && error.facts.webWorker === true

/** A file of the service. @throws SERVER_UNREACHABLE when it does not come */
export async function fileOf(address: URL, headers?: Headers): Promise<Response> {
  const answer = await fetch(address, { headers }).catch((cause: unknown) => {
    throw new NetworkError({ base: address, sentBytes: 0 }, cause)
  })
  if (answer.ok) return answer
  throw new PolyVeilError('SERVER_UNREACHABLE', `The server answers ${answer.status} to ${address.pathname}`)
}
