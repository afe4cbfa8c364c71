import { inProcess } from '../child-process.ts'
import type { ClientReport, ClientTask } from './client.ts'

/** Runs the client in its own process. @throws when it ends without a report */
export const runClient = (task: ClientTask): Promise<ClientReport> =>
  inProcess(new URL('./client.ts', import.meta.url), task)
