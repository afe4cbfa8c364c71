import { parseArgs } from 'node:util'

export interface DemoOptions {
  readonly json: boolean
  readonly all: boolean
}

const HELP = `Usage: npm run demo -- [--json] [--all]

Builds what is not built, starts the service with the bundled networks, classifies bundled test images under encryption
over HTTP, compares with the clear networks, and says what it cost.

  --json  the report as one line of JSON, last on stdout
  --all   all bundled images; by default two of each network
  --help  this text
`

/**
 * Reads the demo's flags. Ends the process with 0 after help, and with 2 after an unknown flag.
 */
export function demoOptions(args: readonly string[]): DemoOptions {
  try {
    const flag = { type: 'boolean', default: false } as const
    const { values } = parseArgs({
      args: [...args],
      options: { json: flag, all: flag, help: { ...flag, short: 'h' } },
    })
    if (!values.help) return values
    process.stdout.write(HELP)
    process.exit(0)
  } catch (error) {
    process.stderr.write(`demo: ${(error as Error).message}\n\n${HELP}`)
    process.exit(2)
  }
}
