/**
 * Store of a client's secret keys, its key sets on servers, and pins. Every entry is a secret: a store
 * encrypts entries at rest, or keeps them in memory only.
 */
export interface KeyStore {
  /**
   * True when entries are lost at the end of the program. A connection with a temporary store deletes the key
   * sets that it uploaded when it is closed, since they cannot be used any more.
   */
  readonly temporary?: boolean
  get(name: string): Promise<Uint8Array | undefined>
  /** Stores an entry; replaces an existing one. */
  put(name: string, bytes: Uint8Array): Promise<void>
  /**
   * Stores an entry atomically, also between processes, unless it exists.
   *
   * @returns the entry afterwards
   */
  add(name: string, bytes: Uint8Array): Promise<Uint8Array>
  /** Deletes an entry if it exists. */
  delete(name: string): Promise<void>
  /** The names of all entries, in ascending order. */
  names(): Promise<readonly string[]>
}

/** A store in memory. */
export function memoryKeyStore(): KeyStore {
  const entries = new Map<string, Uint8Array>()
  return {
    temporary: true,
    get: async (name) => entries.get(name)?.slice(),
    put: async (name, bytes) => {
      entries.set(name, bytes.slice())
    },
    add: async (name, bytes) => {
      const present = entries.get(name) ?? bytes.slice()
      entries.set(name, present)
      return present.slice()
    },
    delete: async (name) => {
      entries.get(name)?.fill(0)
      entries.delete(name)
    },
    names: async () => [...entries.keys()].sort(),
  }
}
