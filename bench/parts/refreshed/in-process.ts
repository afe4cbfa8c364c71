import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ClientReport, ClientTask } from './client.ts'

/** Runs the client in its own process. @throws when it ends without a report */
export async function runClient(task: ClientTask): Promise<ClientReport> {
  const child = fork(fileURLToPath(new URL('./client.ts', import.meta.url)), { serialization: 'advanced' })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The client ended with code ${code} before it had classified`)
  })
  child.send(task)
  const [report] = await Promise.race([once(child, 'message'), ended])
  return report as ClientReport
}
