import { spawn } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { constants, totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { PolyVeilError } from '../errors/index.ts'

// Planning and lowering a network of fifty million weights takes 2 GB of JavaScript heap: as much as Node may
// use by default where there is little memory. How much it may be is settled when a process starts, so the
// command is run once more, in a process that may use more.

/** Heap for each byte of a checkpoint, with room: CPolyNeXt-L takes 8. */
const HEAP_PER_BYTE = 14
/** Of a machine's memory: the rest is for the circuit's values, which are not on the heap, and for others. */
const MOST_OF_MEMORY = 0.6
const MEGABYTE = 2 ** 20
const OWN_LIMIT = /max[-_]old[-_]space[-_]size/

/** What there is, in bytes. */
export interface HeapRoom {
  /** Most heap that this process may use. */
  readonly limit: number
  /** Of the machine. */
  readonly memory: number
}

/**
 * Megabytes of heap that compiling a checkpoint is to be given; undefined where this process may use enough.
 *
 * @param bytes of the checkpoint
 */
export function heapMegabytesFor(bytes: number, { limit, memory }: HeapRoom): number | undefined {
  const needed = Math.min(bytes * HEAP_PER_BYTE, memory * MOST_OF_MEMORY)
  return needed > limit ? Math.ceil(needed / MEGABYTE) : undefined
}

/**
 * A command's action that runs in this process where its checkpoint, the first argument, is small enough, and
 * else in another one. Who sets `--max-old-space-size` is not overruled.
 */
export const withHeapForCheckpoint =
  (action: (...args: unknown[]) => Promise<void>) =>
  async (...args: unknown[]): Promise<void> => {
    const megabytes = isLimitChosen() ? undefined : heapMegabytesFor(await bytesOf(String(args[0])), room())
    if (megabytes === undefined) return action(...args)
    process.exitCode = await runAgain(megabytes, process.argv.slice(1))
  }

/**
 * Runs this Node anew with so much heap, on the same standard streams, and passes signals on.
 *
 * @param args script and arguments
 * @returns its exit code, as a shell has it where a signal ended it
 * @throws TOO_LARGE when no process can be started
 */
export function runAgain(megabytes: number, args: readonly string[]): Promise<number> {
  const options = [...process.execArgv, `--max-old-space-size=${megabytes}`]
  const child = spawn(process.execPath, [...options, ...args], { stdio: 'inherit' })
  // A terminal sends an interrupt to both; what happens is the other's to say.
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

/** Of a file; 0 of what there is not, which the command is to complain about. */
const bytesOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )
