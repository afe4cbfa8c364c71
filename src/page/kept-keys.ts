import { listKeys } from '../client/key-life.ts'
import { indexedDbKeyStore } from '../client/keys/indexed-db-key-store.ts'
import { PolyVeilError } from '../errors/index.ts'

// Keys in the browser's database, as the page finds them without a connection to the service.

const store = indexedDbKeyStore()

const isUnavailable = (error: unknown): boolean =>
  error instanceof PolyVeilError && error.code === 'KEY_STORE_UNAVAILABLE'

/** Whether the browser gives the page a database; some give none in private windows. */
export const keepsData = (): Promise<boolean> =>
  store.names().then(
    () => true,
    (error) => !isUnavailable(error),
  )

/** Whether there are keys to forget. Entries that cannot be read count as keys. */
export const hasKeptKeys = (): Promise<boolean> =>
  listKeys(store).then(
    (keys) => keys.length > 0,
    (error) => !isUnavailable(error),
  )

/** Deletes all keys in the browser; no service is told. @throws KEY_STORE_UNAVAILABLE */
export const forgetKeptKeys = (): Promise<void> => store.forget()
