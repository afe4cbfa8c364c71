/** Names of the entries that a client keeps in a key store. */

const SECRET_KEY = 'secret-key/'
const KEY_SET = 'key-set/'
const KEY_SET_LIST = 'key-sets/'

/** The secret key for parameters, by their digest. */
export const secretKeyEntry = (parametersDigest: string): string => SECRET_KEY + parametersDigest

/** The digest of the parameters whose secret key the entry is; undefined for other entries. */
export const parametersOfEntry = (name: string): string | undefined =>
  name.startsWith(SECRET_KEY) ? name.slice(SECRET_KEY.length) : undefined

/** A secret key and a server on which it has key sets. */
export interface KeyOnServer {
  /** Digest of the server's address. */
  readonly server: string
  /** Of the secret key. */
  readonly fingerprint: string
}

/**
 * One key set on a server. Each has an entry of its own, so that processes that share a store do not
 * overwrite each other's.
 *
 * @param idDigest digest of the key set's id
 */
export const keySetEntry = (place: KeyOnServer, idDigest: string): string =>
  `${keySetEntriesOf(place)}${idDigest}`

/** The beginning of the names of all key sets of one secret key on one server. */
export const keySetEntriesOf = ({ server, fingerprint }: KeyOnServer): string =>
  `${KEY_SET}${server}/${fingerprint}/`

/** Where the key set of an entry is; undefined for other entries. */
export const placeOfKeySet = (name: string): KeyOnServer | undefined => placeAfter(KEY_SET, name)

/** The entry in which earlier versions list all key sets of one secret key on one server. */
export const keySetListEntry = ({ server, fingerprint }: KeyOnServer): string =>
  `${KEY_SET_LIST}${server}/${fingerprint}`

/** Where the key sets of a list are; undefined for other entries. */
export const placeOfKeySetList = (name: string): KeyOnServer | undefined => placeAfter(KEY_SET_LIST, name)

function placeAfter(prefix: string, name: string): KeyOnServer | undefined {
  if (!name.startsWith(prefix)) return undefined
  const [server, fingerprint] = name.slice(prefix.length).split('/')
  return { server, fingerprint }
}
