/** Log of what a store does to files; loggers of Fastify and pino fit. */
export interface StoreLog {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
}

export const NO_LOG: StoreLog = { info() {}, warn() {} }

/** Name of a key set in the log: the first characters of the hash that it is stored under. */
export const loggedName = (name: string): string => name.slice(0, 12)
