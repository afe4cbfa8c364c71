import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { environmentName, type ServerOverrides } from '../../../src/server/config.ts'

const CLI = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))

/** A worker process that a test can stop and kill. */
export class WorkerProcess {
  readonly #child: ChildProcess
  output = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => {
        this.output += chunk
      })
  }

  /** Starts `polyveil worker`. It takes inferences when this returns. */
  static async start(t: Test, settings: ServerOverrides): Promise<WorkerProcess> {
    const variables = Object.entries(settings).map(([name, value]) => [environmentName(name), String(value)])
    const env = { ...process.env, ...Object.fromEntries(variables) }
    const worker = new WorkerProcess(spawn(process.execPath, [CLI, 'worker'], { env }))
    t.teardown(() => worker.kill())
    while (!worker.output.includes('taking inferences')) {
      await Promise.race([
        once(worker.#child.stdout!, 'data'),
        once(worker.#child.stderr!, 'data'),
        worker.#ended(),
      ])
    }
    return worker
  }

  /** Has the process stand still, as a machine does that swaps. */
  stop(): void {
    this.#child.kill('SIGSTOP')
  }

  goOn(): void {
    this.#child.kill('SIGCONT')
  }

  /** Ends it as a fault of its machine does. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.exit()
  }

  /** Tells it to end. @returns its exit code */
  async end(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    return this.exit()
  }

  async exit(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
    return this.#child.exitCode
  }

  async #ended(): Promise<never> {
    await this.exit()
    throw new Error(`The worker process ended: ${this.output}`)
  }
}
