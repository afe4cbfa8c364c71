import type { Command } from 'commander'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { defaultModels } from '../default-models.ts'

interface WorkerOptions {
  readonly redis?: string
  readonly models?: string
  readonly data?: string
  readonly config?: string
}

/** `polyveil worker` */
export const workerCommand = (): Command =>
  command('worker', 'run a worker process of a service on several machines until it is told to end')
    .option('--redis <address>', 'address of the Redis that the processes of the service share')
    .option('--models <dir>', 'directory of circuits, *.pvc (default: the bundled networks)')
    .option('--data <dir>', 'data directory that the processes share (default: polyveil-data)')
    .option('--config <file>', 'JSON file with these and further settings, modelsDir among them')
    .action(act(startWorker))

async function startWorker({ json, progress }: CommandContext, options: WorkerOptions): Promise<Outcome> {
  const { readConfig, unknownVariables, work } = await import('../../server/index.ts')
  const { models: modelsDir, data: dataDir, redis, config: file } = options
  // Its log goes to stdout, which belongs to the one JSON document.
  const logLevel = json ? ('silent' as const) : undefined
  const config = await readConfig({
    overrides: { modelsDir, dataDir, redis, logLevel },
    env: { ...(await defaultModels(options)), ...process.env },
    file,
  })
  for (const name of unknownVariables(process.env))
    progress.warn(`warning: ${name} is no setting of the service`)
  const { managementUrl, leftOut } = await work(config)
  for (const { file, error } of leftOut) progress.note(`left out ${file}: ${error.message}`)
  progress.note(`taking inferences on the circuits of ${config.modelsDir}`)
  if (managementUrl !== undefined) progress.note(`management at ${managementUrl}`)
  const files = leftOut.map(({ file, error }) => ({ file, reason: error.message, remedy: error.remedy }))
  return { document: { managementUrl, leftOut: files } }
}
