import { CommanderError } from 'commander'
import { oldNode } from '../errors/node-version.ts'
import { presentError, reportStop } from './output/errors.ts'
import { program } from './program.ts'
import { UsageError } from './usage-error.ts'

/**
 * Runs one command line and sets the process's exit code: 0 done, 1 the check failed, 2 wrong usage, 3 bad
 * input, 4 over budget, 5 server or network failed.
 *
 * @param args the arguments after the program's name
 */
export async function run(args: readonly string[]): Promise<void> {
  process.stdout.on('error', endWithReader)
  try {
    requireNode(process.versions.node)
    await program().parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = exitCodeOf(error, args.includes('--json'))
  }
}

/** @throws UsageError when Node is too old; runs before modules are loaded that would fail on it */
export function requireNode(version: string): void {
  const old = oldNode(version)
  if (old) throw new UsageError(old.message, old.facts, old.remedy)
}

function exitCodeOf(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) return endOfParsing(error, json)
  if (error instanceof Error && error.name === 'AbortError') return reportStop(error)
  return presentError(error, json)
}

/** Commander throws for help, for the version and for wrong usage. */
function endOfParsing({ exitCode, code, message }: CommanderError, json: boolean): number {
  if (exitCode === 0) return 0
  const what = code === 'commander.help' ? 'A command is missing' : message.replace(/^error: /, '')
  return presentError(new UsageError(what), json)
}

/** A reader that closes the pipe early, such as `head`, is not an error. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit()
  throw error
}
