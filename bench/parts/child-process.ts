import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/**
 * Runs a module in its own process. The module takes one message, the task, and sends one, its report.
 *
 * @throws when the process ends without a report
 */
export async function inProcess<Report>(module: URL, task: object): Promise<Report> {
  const file = fileURLToPath(module)
  const child = fork(file, { serialization: 'advanced' })
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`The process of ${file} ended with ${code ?? signal} before its report`)
  })
  child.send(task)
  const [report] = await Promise.race([once(child, 'message'), ended])
  return report as Report
}
