import type { Command } from 'commander'
import { bundledCircuits } from '../bundled.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { whole } from '../input/option-values.ts'

interface ServeOptions {
  readonly models?: string
  readonly port?: number
  readonly host?: string
  readonly config?: string
}

/** `polyveil serve` */
export const serveCommand = (): Command =>
  command('serve', 'run the service until it is told to end')
    .option('--models <dir>', 'directory of circuits, *.pvc (default: the bundled networks)')
    .option('--port <n>', 'port to listen on, 0 for any free one (default: 8080)', whole(0, 65_535))
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--config <file>', 'JSON file with these and further settings, modelsDir among them')
    .action(act(startService))

async function startService({ json, progress }: CommandContext, options: ServeOptions): Promise<Outcome> {
  const { readConfig, serve, unknownVariables } = await import('../../server/index.ts')
  const { models: modelsDir, host, port, config: file } = options
  // Its log goes to stdout, which belongs to the one JSON document.
  const logLevel = json ? ('silent' as const) : undefined
  const config = await readConfig({
    overrides: { modelsDir, host, port, logLevel },
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

/** The bundled networks, unless a flag or a file says what to serve. */
async function defaultModels({ models, config }: ServeOptions): Promise<Record<string, string>> {
  const stated = models ?? config ?? process.env.POLYVEIL_MODELS_DIR
  return stated === undefined ? { POLYVEIL_MODELS_DIR: await bundledCircuits() } : {}
}
