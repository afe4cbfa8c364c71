/** Signals by which users and systems ask a process to end. */
export const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The reason with which a command stops that was asked to. */
export class Interruption extends Error {
  readonly signal: (typeof ENDING)[number]

  constructor(signal: (typeof ENDING)[number]) {
    super(`The command was ended by ${signal}`)
    this.name = 'AbortError'
    this.signal = signal
  }
}
