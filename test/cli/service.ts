import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { CLI } from '../../scripts/building/paths.ts'
import { environment } from './support.ts'

/** A `polyveil serve` in its own process. */
export interface Service {
  readonly url: string
  /** The output on stderr so far. */
  readonly stderr: () => string
  /** The JSON document that it printed. */
  readonly document: object
  /** Sends SIGHUP. */
  hangUp(): void
  /** Stops the process with the signal that an operator uses. @returns its exit code */
  stop(): Promise<number | null>
  /** Ends the process at once with SIGKILL. */
  kill(): Promise<void>
}

/** Starts `polyveil serve --port 0 --json ARGS`. @param dataDir directory for uploaded keys */
export const startService = (dataDir: string, ...args: string[]): Promise<Service> =>
  startProgram([CLI, 'serve', '--port', '0', '--json', ...args], dataDir)

/**
 * Starts a Node program that serves, and waits for its JSON document.
 *
 * @param command the program and its arguments, including --json
 * @param dataDir directory for uploaded keys
 */
export async function startProgram(command: readonly string[], dataDir: string): Promise<Service> {
  const child = spawn(process.execPath, command, {
    env: { ...environment, POLYVEIL_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const ended = once(child, 'close').then(([code]) => {
    throw new Error(`the server ended with ${code}: ${errors}`)
  })
  ended.catch(() => {})
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), ended])) as [string]
  const document = JSON.parse(line) as { url: string }
  return {
    url: document.url,
    stderr: () => errors,
    document,
    hangUp: () => void child.kill('SIGHUP'),
    stop: () => stop(child),
    kill: () => kill(child),
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

async function stop(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  return child.exitCode
}
