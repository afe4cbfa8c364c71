import type { Command } from 'commander'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { defaultModels } from '../default-models.ts'
import { whole } from '../input/option-values.ts'

interface ServeOptions {
  readonly models?: string
  readonly port?: number
  readonly host?: string
  readonly data?: string
  readonly redis?: string
  readonly config?: string
}

/** `polyveil serve` */
export const serveCommand = (): Command =>
  command('serve', 'run the service until it is told to end')
    .option('--models <dir>', 'directory of circuits, *.pvc (default: the bundled networks)')
    .option('--port <n>', 'port to listen on, 0 for any free one (default: 8080)', whole(0, 65_535))
    .option('--data <dir>', 'directory that key sets are kept in (default: polyveil-data)')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option(
      '--redis <address>',
      'address of the Redis of a service on several machines, whose worker processes run the circuits',
    )
    .option('--config <file>', 'JSON file with these and further settings, modelsDir among them')
    .action(act(startService))

async function startService({ json, progress }: CommandContext, options: ServeOptions): Promise<Outcome> {
  const { readConfig, serve, unknownVariables } = await import('../../server/index.ts')
  const { models: modelsDir, data: dataDir, host, port, redis, config: file } = options
  // Its log goes to stdout, which belongs to the one JSON document.
  const logLevel = json ? ('silent' as const) : undefined
  const config = await readConfig({
    overrides: { modelsDir, dataDir, host, port, redis, logLevel },
    env: { ...(await defaultModels(options)), ...process.env },
    file,
  })
  for (const name of unknownVariables(process.env))
    progress.warn(`warning: ${name} is no setting of the service`)
  const { url, managementUrl, leftOut } = await serve(config)
  for (const { file, error } of leftOut) progress.note(`left out ${file}: ${error.message}`)
  progress.note(`serving ${config.modelsDir} at ${url}`)
  if (managementUrl !== undefined) progress.note(`management at ${managementUrl}`)
  const files = leftOut.map(({ file, error }) => ({ file, reason: error.message, remedy: error.remedy }))
  return { document: { url, managementUrl, leftOut: files } }
}
