import { Command, type CommanderError } from 'commander'
import type { PolyVeilError } from '../errors/index.ts'
import { ENDING, Interruption } from './interruption.ts'
import { printError } from './output/errors.ts'
import { printDocument, printText } from './output/print.ts'
import { createProgress, type Progress } from './output/progress.ts'

/** Context of a command: everything besides its arguments. */
export interface CommandContext {
  readonly json: boolean
  readonly progress: Progress
  /**
   * Aborted by the first SIGINT or SIGTERM. A command that reads this property must heed it, since only a
   * second signal then ends the process. Other commands end at the first.
   */
  readonly signal: AbortSignal
}

/** Result of a command. */
export interface Outcome {
  /** The one JSON document of `--json`. */
  readonly document: unknown
  /** Text for people; absent when the command writes bytes to stdout. */
  readonly text?: string
  /** Errors of parts, which the document has too. The exit code is the largest of theirs. */
  readonly errors?: readonly PolyVeilError[]
  /** 1 when a check fails. */
  readonly exitCode?: 0 | 1
}

/** A command with the common options. It throws on wrong usage, which `run` reports. */
export function command(name: string, summary: string): Command {
  return quietParser(new Command(name))
    .description(summary)
    .option('--json', 'print exactly one JSON document on stdout')
    .option('--quiet', 'no progress on stderr')
}

/** Commander throws instead of ending the process, and leaves reporting to `run`. */
export const quietParser = (parser: Command): Command =>
  parser.exitOverride(rethrow).configureOutput({ writeErr: () => {} })

const rethrow = (error: CommanderError): never => {
  throw error
}

/** Makes a commander action that runs `body` and prints its outcome. */
export function act<A extends unknown[]>(body: (context: CommandContext, ...args: A) => Promise<Outcome>) {
  return async (...args: unknown[]): Promise<void> => {
    const self = args.pop() as Command
    const { json = false, quiet = false } = self.opts<{ json?: boolean; quiet?: boolean }>()
    const progress = createProgress(process.stderr, quiet)
    try {
      const outcome = await body(contextOf(json, progress), ...(args as A))
      const { document, text, errors = [], exitCode = 0 } = outcome
      progress.end()
      if (json) printDocument(document)
      else if (text !== undefined) printText(text)
      if (!json) for (const error of errors) printError(error)
      process.exitCode = Math.max(exitCode, ...errors.map(({ entry }) => entry.exit))
    } finally {
      progress.end()
    }
  }
}

function contextOf(json: boolean, progress: Progress): CommandContext {
  let signal: AbortSignal | undefined
  return {
    json,
    progress,
    get signal() {
      signal ??= interruption()
      return signal
    },
  }
}

/** The first signal asks the command to stop; the second ends the process. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  const stop = (signal: (typeof ENDING)[number]): void => {
    for (const each of ENDING) process.off(each, stop)
    controller.abort(new Interruption(signal))
  }
  for (const each of ENDING) process.on(each, stop)
  return controller.signal
}
