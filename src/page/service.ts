import { connect } from '../client/connect.ts'
import { indexedDbKeyStore } from '../client/keys/indexed-db-key-store.ts'
import type { PolyVeil } from '../client/polyveil.ts'

/** What the page needs of a connection. */
export type PrivateClient = Pick<
  PolyVeil,
  'models' | 'manifest' | 'keys' | 'encrypt' | 'infer' | 'decrypt' | 'keySets' | 'close'
>

/** Connects to the service that sent the page. @throws as `connect` */
export const connectTo = (service: URL, token: string | undefined): Promise<PrivateClient> =>
  connect(service, { keys: indexedDbKeyStore(), ...(token !== undefined && { token }) })
