import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { CLI } from '../building/paths.ts'

/** The service in its own process, on a free port. Its data directory is deleted at the end. */
export interface DemoServer {
  readonly url: string
  /** Of the process. */
  readonly pid: number
  /** Peak memory of the process so far. */
  peakBytes(): Promise<number>
  stop(): Promise<void>
}

/**
 * @param models directory of circuits; by default the bundled networks
 * @param settings of the service, as environment variables
 */
export async function startServer(
  models?: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<DemoServer> {
  const directory = await mkdtemp(join(tmpdir(), 'polyveil-demo-'))
  const served = models === undefined ? [] : ['--models', models]
  const child = spawn(process.execPath, [CLI, 'serve', ...served, '--port', '0', '--json', '--quiet'], {
    env: { ...process.env, POLYVEIL_DATA_DIR: directory, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    await rm(directory, { recursive: true, force: true })
  }
  try {
    const url = await addressOf(child)
    return { url, pid: child.pid!, peakBytes: () => peakBytes(url), stop }
  } catch (cause) {
    await stop()
    throw cause
  }
}

/** Reads the address from the JSON document that the server prints. */
async function addressOf(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! })
  const ended = once(child, 'exit').then(() => {
    throw new Error('The server ended before it listened')
  })
  const [document] = (await Promise.race([once(lines, 'line'), ended])) as [string]
  return (JSON.parse(document) as { url: string }).url
}

async function peakBytes(url: string): Promise<number> {
  const metrics = await (await fetch(new URL('/metrics', url))).text()
  const [, bytes] = /^polyveil_peak_resident_bytes (\S+)$/m.exec(metrics) ?? []
  if (bytes === undefined) throw new Error('The server does not state its memory')
  return Number(bytes)
}
