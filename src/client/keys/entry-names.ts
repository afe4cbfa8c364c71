/** Names of the entries that a client keeps in a key store. */

const SECRET_KEY = 'secret-key/'
const KEY_SETS = 'key-sets/'

/** The secret key for parameters, by their digest. */
export const secretKeyEntry = (parametersDigest: string): string => SECRET_KEY + parametersDigest

/** The digest of the parameters whose secret key the entry is; undefined for other entries. */
export const parametersOfEntry = (name: string): string | undefined =>
  name.startsWith(SECRET_KEY) ? name.slice(SECRET_KEY.length) : undefined

/**
 * The key sets that were made with one secret key and are on one server.
 *
 * @param server digest of the server's address
 * @param fingerprint of the secret key
 */
export const keySetsEntry = (server: string, fingerprint: string): string =>
  `${KEY_SETS}${server}/${fingerprint}`

/** The parts of a `keySetsEntry`; undefined for other entries. */
export function keySetsOfEntry(name: string): { server: string; fingerprint: string } | undefined {
  if (!name.startsWith(KEY_SETS)) return undefined
  const [server, fingerprint] = name.slice(KEY_SETS.length).split('/')
  return { server, fingerprint }
}
