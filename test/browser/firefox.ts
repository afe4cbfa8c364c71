import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { isExecutable } from './chromium.ts'

// Firefox as Debian has it, driven by WebDriver BiDi (W3C), which it speaks by itself. Playwright's own
// Firefox is another program.

const PATHS = ['/usr/bin/firefox-esr', '/usr/bin/firefox']

/** The Firefox of this machine: the one that FIREFOX names, or Debian's. */
export const findFirefox = (): string | undefined => process.env.FIREFOX || PATHS.find(isExecutable)

/** A page in Firefox. */
export interface FirefoxPage {
  /** Opens an address, and waits until it is loaded. */
  goto(url: string): Promise<void>
  /** The value of an expression, which may be a promise of one; values are what JSON has. */
  evaluate<T>(expression: string): Promise<T>
  /** As `evaluate`, as the act of a user, who may open tabs. */
  act<T>(expression: string): Promise<T>
}

/** Starts a headless Firefox with a new profile, until the end of the test. */
export async function launchFirefox(t: Test, executable: string): Promise<FirefoxPage> {
  const profile = await mkdtemp(join(tmpdir(), 'polyveil-firefox-'))
  const child = spawn(executable, ['--headless', '--remote-debugging-port', '0', '--profile', profile], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(async () => {
    child.kill()
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  })
  const connection = await Bidi.connect(`${await addressIn(child.stderr)}/session`)
  t.teardown(() => connection.close())
  await connection.send('session.new', { capabilities: {} })
  const { contexts } = await connection.send<{ contexts: { context: string }[] }>(
    'browsingContext.getTree',
    {},
  )
  const [{ context }] = contexts
  const evaluate = async <T>(expression: string, userActivation: boolean): Promise<T> => {
    const outcome = await connection.send<Evaluated>('script.evaluate', {
      expression: `Promise.resolve(${expression}).then(JSON.stringify)`,
      target: { context },
      awaitPromise: true,
      userActivation,
    })
    if (outcome.exceptionDetails) throw new Error(outcome.exceptionDetails.text)
    return JSON.parse(outcome.result?.value ?? 'null')
  }
  return {
    goto: async (url) => {
      await connection.send('browsingContext.navigate', { context, url, wait: 'complete' })
    },
    evaluate: (expression) => evaluate(expression, false),
    act: (expression) => evaluate(expression, true),
  }
}

interface Evaluated {
  readonly result?: { readonly value?: string }
  readonly exceptionDetails?: { readonly text: string }
}

async function addressIn(stderr: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stderr) {
    text += chunk
    const [, address] = /WebDriver BiDi listening on (ws:\S+)/.exec(text) ?? []
    if (address) return address
  }
  throw new Error(`Firefox has ended: ${text}`)
}

/** Commands and their results over a WebSocket. */
class Bidi {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #id = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => this.#take(JSON.parse(data)))
  }

  static async connect(address: string): Promise<Bidi> {
    const socket = new WebSocket(address)
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve)
      socket.addEventListener('error', () => reject(new Error(`Firefox does not answer at ${address}`)))
    })
    return new Bidi(socket)
  }

  async send<T = unknown>(method: string, params: object): Promise<T> {
    const id = ++this.#id
    const answer = Promise.withResolvers<unknown>()
    this.#waiting.set(id, answer)
    this.#socket.send(JSON.stringify({ id, method, params }))
    return (await answer.promise) as T
  }

  close(): void {
    this.#socket.close()
  }

  #take({ id, type, result, message }: Record<string, unknown>): void {
    const answer = this.#waiting.get(Number(id))
    if (type === 'error') answer?.reject(new Error(String(message)))
    else answer?.resolve(result)
  }
}
