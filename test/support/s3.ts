import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.ts'

const PROGRAM = fileURLToPath(new URL('../../node_modules/s3rver/bin/s3rver.js', import.meta.url))
export const BUCKET = 'shared-keys'

/** A service that is compatible with S3, in a child process, with a bucket in a directory. */
export class S3Server {
  readonly endpoint: string
  readonly credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
  readonly region = 'us-east-1'
  readonly #port: number
  readonly #directory: string
  #process: ChildProcess | undefined

  private constructor(port: number, directory: string) {
    this.#port = port
    this.#directory = directory
    this.endpoint = `http://127.0.0.1:${port}`
  }

  /** Starts a service on a free port. It answers when this returns. @param directory of its objects */
  static async start(directory: string): Promise<S3Server> {
    const server = new S3Server(await freePort(), directory)
    await server.start()
    return server
  }

  /** Starts the service again after `kill`, with its objects. */
  async start(): Promise<void> {
    const options = ['--directory', this.#directory, '--address', '127.0.0.1', '--port', String(this.#port)]
    // The program enciphers marks of pages by DES.
    const args = [
      '--openssl-legacy-provider',
      PROGRAM,
      ...options,
      '--silent',
      '--no-vhost-buckets',
      '--configure-bucket',
      BUCKET,
    ]
    const child = spawn(process.execPath, args, { stdio: 'ignore' })
    this.#process = child
    while (!(await this.#answers())) {
      if (child.exitCode !== null) throw new Error(`s3rver ended with ${child.exitCode}`)
      await sleep(20)
    }
  }

  /** Ends the service at once. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }

  #answers(): Promise<boolean> {
    return fetch(`${this.endpoint}/${BUCKET}`).then(
      ({ status }) => status !== 404,
      () => false,
    )
  }
}
