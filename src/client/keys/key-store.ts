/**
 * Where a client keeps what must outlive it: secret keys, and which key sets are on which server. Every entry is a
 * secret; a store keeps entries encrypted at rest, or does not let them rest at all.
 */
export interface KeyStore {
  get(name: string): Promise<Uint8Array | undefined>
  /** Stores an entry in place of the one there may be. */
  put(name: string, bytes: Uint8Array): Promise<void>
  /**
   * Stores an entry unless there is one, as one step even between processes.
   *
   * @returns the entry that is there afterwards
   */
  add(name: string, bytes: Uint8Array): Promise<Uint8Array>
}

/** A store that is gone with the program. */
export function memoryKeyStore(): KeyStore {
  const entries = new Map<string, Uint8Array>()
  return {
    get: async (name) => entries.get(name)?.slice(),
    put: async (name, bytes) => {
      entries.set(name, bytes.slice())
    },
    add: async (name, bytes) => {
      const present = entries.get(name) ?? bytes.slice()
      entries.set(name, present)
      return present.slice()
    },
  }
}
