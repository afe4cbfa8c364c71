/** Log of what a store does to files; loggers of Fastify and pino fit. */
export interface StoreLog {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
}

export const NO_LOG: StoreLog = { info() {}, warn() {} }

/** Name of a key set in the log: the first characters of the hash that it is stored under. */
export const loggedName = (name: string): string => name.slice(0, 12)

const MAX_NAMES = 3

/** Facts of a log line about several key sets: their number, and the names of the first. */
export const someNames = (names: readonly string[]): { count: number; keySets: string[] } => ({
  count: names.length,
  keySets: names.slice(0, MAX_NAMES).map(loggedName),
})
