import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { keySetBytes } from '../../../src/wire/index.ts'
import { parameters } from '../../circuit/circuits.ts'

const PROGRAM = fileURLToPath(new URL('./key-service.ts', import.meta.url))

export interface Answer {
  readonly status: number
  readonly json: Record<string, unknown>
}

/** The service of `key-service.ts` in a process of its own, and a client of it. */
export class KeyService {
  readonly #child: ChildProcess
  readonly #url: string

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.#url = url
  }

  /** Starts it; the end of the test ends it. */
  static async start(t: Test, data: string): Promise<KeyService> {
    const child = fork(PROGRAM, [data], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    t.teardown(() => killed(child))
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the service ended with ${code}`)
    })
    ended.catch(() => {})
    const [url] = (await Promise.race([once(child, 'message'), ended])) as [string]
    return new KeyService(child, url)
  }

  /** Kills the process at once. */
  kill(): Promise<void> {
    return killed(this.#child)
  }

  /** Most resident memory in bytes since the last call. */
  async peakBytes(): Promise<number> {
    this.#child.send('memory')
    const [bytes] = (await once(this.#child, 'message')) as [number]
    return bytes
  }

  /** Announces a key set with so many Galois keys. */
  async announce(galoisKeys: number): Promise<{ id: string; bytes: number }> {
    const galoisElements = Array.from({ length: galoisKeys }, (_, i) => 2 * i + 3)
    const bytes = keySetBytes(parameters, galoisElements)
    const body = JSON.stringify({ parametersDigest: parameters.digest, bytes, galoisElements })
    const headers = { 'content-type': 'application/json' }
    const { status, json } = await this.#send('POST', headers, body)
    if (status !== 201) throw new Error(JSON.stringify(json))
    return { id: String(json.id), bytes }
  }

  put(id: string, offset: number, part: Uint8Array<ArrayBuffer>): Promise<Answer> {
    const headers = {
      'content-type': 'application/octet-stream',
      'polyveil-key-set': id,
      'upload-offset': String(offset),
    }
    return this.#send('PUT', headers, part)
  }

  get(id: string): Promise<Answer> {
    return this.#send('GET', { 'polyveil-key-set': id })
  }

  async health(path: 'ready' | 'live'): Promise<number> {
    return (await fetch(`${this.#url}/v2/health/${path}`)).status
  }

  async #send(
    method: string,
    headers: Record<string, string>,
    body?: string | Uint8Array<ArrayBuffer>,
  ): Promise<Answer> {
    const answer = await fetch(`${this.#url}/v2/keys`, { method, headers, body })
    return { status: answer.status, json: await answer.json() }
  }
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
