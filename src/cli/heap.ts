import { spawn } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { constants, totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { PolyVeilError } from '../errors/index.ts'

// Planning and lowering a network of fifty million weights takes 2 GB of JavaScript heap, which is Node's
// default limit on machines with little memory. The limit is fixed when a process starts, so the command is
// run again in a process with a higher one.

/** Bytes of heap for each byte of a checkpoint, with a margin: CPolyNeXt-L takes 8. */
const HEAP_PER_BYTE = 14
/**
 * Share of a machine's memory for the heap. The circuit's values, which are not on the heap, need the rest.
 */
const MOST_OF_MEMORY = 0.6
const MEGABYTE = 2 ** 20
const OWN_LIMIT = /max[-_]old[-_]space[-_]size/

/** Available memory in bytes. */
export interface HeapRoom {
  /** Heap limit of this process. */
  readonly limit: number
  /** Memory of the machine. */
  readonly memory: number
}

/**
 * Megabytes of heap to compile a checkpoint with; undefined when the limit of this process suffices.
 *
 * @param bytes of the checkpoint
 */
export function heapMegabytesFor(bytes: number, { limit, memory }: HeapRoom): number | undefined {
  const needed = Math.min(bytes * HEAP_PER_BYTE, memory * MOST_OF_MEMORY)
  return needed > limit ? Math.ceil(needed / MEGABYTE) : undefined
}

/**
 * Wraps a command's action so that it runs in another process with a larger heap when its checkpoint, the
 * first argument, is too large for this one. A `--max-old-space-size` that the user has set is kept.
 */
export const withHeapForCheckpoint =
  (action: (...args: unknown[]) => Promise<void>) =>
  async (...args: unknown[]): Promise<void> => {
    const megabytes = isLimitChosen() ? undefined : heapMegabytesFor(await bytesOf(String(args[0])), room())
    if (megabytes === undefined) return action(...args)
    process.exitCode = await runAgain(megabytes, process.argv.slice(1))
  }

/**
 * Runs this Node again with a larger heap and the same standard streams, and forwards SIGTERM.
 *
 * @param args script and arguments
 * @returns its exit code; 128 plus the signal's number when a signal ended it
 * @throws TOO_LARGE when no process can be started
 */
export function runAgain(megabytes: number, args: readonly string[]): Promise<number> {
  const options = [...process.execArgv, `--max-old-space-size=${megabytes}`]
  const child = spawn(process.execPath, [...options, ...args], { stdio: 'inherit' })
  // A terminal sends an interrupt to both processes; the child decides how to end.
  const ignore = (): void => {}
  const pass = (signal: NodeJS.Signals): unknown => child.kill(signal)
  process.on('SIGINT', ignore).on('SIGTERM', pass)
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  child.on('error', (cause) => {
    const message = `No process with more heap can be started (${(cause as NodeJS.ErrnoException).code})`
    const remedy = 'Free memory or processes, or set NODE_OPTIONS=--max-old-space-size to what there is.'
    reject(new PolyVeilError('TOO_LARGE', message, { megabytes }, { cause, remedy }))
  })
  child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]))
  return promise.finally(() => process.off('SIGINT', ignore).off('SIGTERM', pass))
}

const isLimitChosen = (): boolean =>
  [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((option) => OWN_LIMIT.test(option))

const room = (): HeapRoom => ({ limit: getHeapStatistics().heap_size_limit, memory: totalmem() })

/** Size of a file; 0 when it does not exist, which the command reports. */
const bytesOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )
