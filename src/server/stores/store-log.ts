/** Where a store says what it does to files; a logger of Fastify's or pino's is one. */
export interface StoreLog {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
}

export const NO_LOG: StoreLog = { info() {}, warn() {} }

/** A key set in the log: the beginning of the hash that it is stored under. */
export const loggedName = (name: string): string => name.slice(0, 12)
