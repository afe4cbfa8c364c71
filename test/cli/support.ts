import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { CLI } from '../../scripts/building/paths.ts'
import { requireBuild } from '../support/built.ts'

await requireBuild()

/** The result of a run of the command line. */
export interface Ran {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
  /** The JSON document of `--json`. */
  readonly json: Document
}

// biome-ignore lint/suspicious/noExplicitAny: documents of all commands, whose fields tests look at
type Document = any

export interface RunOptions {
  readonly input?: Uint8Array
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  /** The signal that `signal` sends to the process; SIGINT by default. */
  readonly killSignal?: NodeJS.Signals
  /** The user that runs the process; by default the user of the test. */
  readonly uid?: number
}

/** The environment without settings of this program, which a developer may have set. */
export const environment: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('POLYVEIL_')),
)

/** Runs `polyveil ARGS` as users do: the built program in a process of its own. */
export async function polyveil(
  args: readonly string[],
  { input, env, signal, killSignal = 'SIGINT', uid }: RunOptions = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...environment, ...env },
    signal,
    killSignal,
    uid,
  })
  // A command that fails early does not read its input. An aborted process emits an error, but `code` has its
  // signal.
  child.stdin.on('error', () => {})
  child.on('error', () => {})
  child.stdin.end(input)
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  const [stdout, stderr, code] = await Promise.all([buffer(child.stdout), buffer(child.stderr), ended])
  return {
    code,
    stdout,
    stderr: stderr.toString(),
    get json() {
      return onlyDocument(stdout.toString())
    },
  }
}

/** Reads the only line on stdout. Other output is an error. */
function onlyDocument(text: string): Document {
  if (!/^[^\n]+\n$/.test(text)) throw new Error(`not exactly one line on stdout: ${JSON.stringify(text)}`)
  return JSON.parse(text)
}

/**
 * Checks that a run failed as `--json --quiet` should: with an exit code, one error document, and nothing on
 * stderr.
 */
export function failed(t: Test, ran: Ran, exitCode: number, code: string, facts: object = {}): void {
  t.equal(ran.code, exitCode, `exit code of ${code}`)
  t.match(ran.json, { error: { code, facts } })
  for (const member of ['message', 'remedy']) t.ok(ran.json.error[member], `the error has ${member}`)
  t.strictSame(Object.keys(ran.json), ['error'])
  t.equal(ran.stderr, '', 'nothing on stderr')
  t.notMatch(ran.json.error.message, /\n\s+at |node_modules/, 'no stack')
}

const within = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export const goldenPath = (name: string): string => within(`../golden/${name}`)
export const zooPath = (name: string): string => within(`../../src/models/zoo/${name}`)

/** Arguments for the checkpoint and config of a network in test/golden. */
export const sourceOf = (name: string): string[] => [
  goldenPath(`${name}.pt`),
  '--config',
  goldenPath(`${name}.json`),
]
export const goldenOf = (name: string): string[] => ['--golden', goldenPath(`${name}.golden.safetensors`)]

/** All files below a directory. */
export const filesIn = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort()
