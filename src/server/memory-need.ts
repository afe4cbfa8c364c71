import { totalmem } from 'node:os'
import type { Logger } from 'pino'
import { megabytes, type ServerConfig } from './config.ts'

// Megabytes beside the engines, by the measured peaks of services (docs/performance.md, "Memory of the
// service"). The largest networks take up to 1.6 GB more.

/** Node, the service, and frames under way. */
const PROCESS_MEGABYTES = 350
/** What JavaScript takes in a worker to read circuits and to build programs. */
const WORKER_MEGABYTES = 450
/** What a worker takes beside its engine's memory, for each byte of it. */
const SHARE_OF_ENGINE = 0.12

type Workers = Pick<ServerConfig, 'workers' | 'engineMegabytes'>

export interface MemoryShortage extends Workers {
  readonly neededMegabytes: number
  readonly limitMegabytes: number
}

/** Memory that the process takes when the engine of each worker has all that it may have. */
export const neededMegabytes = ({ workers, engineMegabytes }: Workers): number =>
  PROCESS_MEGABYTES + workers * Math.ceil(WORKER_MEGABYTES + (1 + SHARE_OF_ENGINE) * engineMegabytes)

/**
 * Compares what the workers may take with what the process may have.
 *
 * @param limitBytes memory of the container or the machine
 * @returns undefined when the memory suffices
 */
export function memoryShortage(
  { workers, engineMegabytes }: Workers,
  limitBytes: number,
): MemoryShortage | undefined {
  const needed = neededMegabytes({ workers, engineMegabytes })
  if (megabytes(needed) <= limitBytes) return undefined
  const limitMegabytes = Math.floor(limitBytes / megabytes(1))
  return { workers, engineMegabytes, neededMegabytes: needed, limitMegabytes }
}

/**
 * The limit of the process's control group, such as a container's; the machine's memory where there is none.
 */
export function availableMemory(constrained = process.constrainedMemory(), machine = totalmem()): number {
  // Node says 0 where it does not know, and a number near 2^64 where there is no limit.
  return constrained > 0 && constrained < machine ? constrained : machine
}

/**
 * Warns when the system may end the process because the workers exceed the memory of the container or the
 * machine.
 */
export function warnOfShortage(config: Workers, logger: Logger, limitBytes = availableMemory()): void {
  const shortage = memoryShortage(config, limitBytes)
  if (shortage) logger.warn(shortage, WARNING)
}

const WARNING =
  'The workers can take more memory than the container or the machine has; the system ends the process then. ' +
  'Lower workers or engineMegabytes, or give the container or the machine more memory.'
