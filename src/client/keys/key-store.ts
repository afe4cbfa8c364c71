/**
 * Where a client keeps what must outlive it: secret keys, and which key sets are on which server. Every entry
 * is a secret; a store keeps entries encrypted at rest, or does not let them rest at all.
 */
export interface KeyStore {
  /**
   * True when entries end with the program. A connection with such a store deletes the key sets that it
   * uploaded when it is closed: nobody could use them any more.
   */
  readonly temporary?: boolean
  get(name: string): Promise<Uint8Array | undefined>
  /** Stores an entry in place of the one there may be. */
  put(name: string, bytes: Uint8Array): Promise<void>
  /**
   * Stores an entry unless there is one, as one step even between processes.
   *
   * @returns the entry that is there afterwards
   */
  add(name: string, bytes: Uint8Array): Promise<Uint8Array>
  /** Deletes an entry; does nothing where there is none. */
  delete(name: string): Promise<void>
  /** The names of all entries, in ascending order. */
  names(): Promise<readonly string[]>
}

/** A store that is gone with the program. */
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
