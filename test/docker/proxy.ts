import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { ROOT } from '../../scripts/building/paths.ts'
import { freePort } from '../support/free-port.ts'

/** A certificate for 127.0.0.1 with its key. */
export const CERTIFICATE = fileURLToPath(new URL('../client/self-signed.pem', import.meta.url))

/** Debian has nginx where only root looks for programs. */
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`

export const hasNginx = spawnSync('nginx', ['-v'], { env: { PATH } }).status === 0

export interface RunningProxy {
  readonly url: string
  /** What nginx has logged. */
  readonly log: () => string
}

/**
 * Starts nginx with docker/nginx.conf until the end of the test. Only addresses and folders are replaced.
 *
 * @param service address of the service
 * @param changes further texts of the file and what replaces them
 */
export async function startProxy(
  t: Test,
  service: string,
  folder: string,
  changes: Readonly<Record<string, string>> = {},
): Promise<RunningProxy> {
  const port = await freePort()
  const tls = join(folder, 'tls')
  mkdirSync(tls, { recursive: true })
  for (const name of ['tls.crt', 'tls.key']) copyFileSync(CERTIFICATE, join(tls, name))
  const replacements = {
    'server polyveil:8080;': `server ${new URL(service).host};`,
    'listen 8443 ssl': `listen 127.0.0.1:${port} ssl`,
    '/etc/nginx/tls/': `${tls}/`,
    ' /tmp/': ` ${folder}/`,
    ...changes,
  }
  let configuration = readFileSync(join(ROOT, 'docker/nginx.conf'), 'utf8')
  for (const [text, other] of Object.entries(replacements)) {
    if (!configuration.includes(text)) throw new Error(`docker/nginx.conf has no ${text}`)
    configuration = configuration.replaceAll(text, other)
  }
  writeFileSync(join(folder, 'nginx.conf'), configuration)
  const log = join(folder, 'log')
  // nginx opens /dev/stdout, which it cannot do with the sockets that Node takes for pipes.
  const output = openSync(log, 'a')
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-g', 'daemon off;']
  const nginx = spawn('nginx', args, { env: { PATH }, stdio: ['ignore', output, output] })
  const ended = once(nginx, 'exit')
  const url = `https://127.0.0.1:${port}`
  t.teardown(async () => {
    nginx.kill('SIGTERM')
    await ended
  })
  while (!(await isOpen(url))) {
    if (nginx.exitCode !== null) throw new Error(readFileSync(log, 'utf8'))
    await sleep(20)
  }
  return { url, log: () => readFileSync(log, 'utf8') }
}

async function isOpen(url: string): Promise<boolean> {
  const session = connect(url, { ca: readFileSync(CERTIFICATE) })
  const isConnected = await new Promise<boolean>((resolve) =>
    session.on('connect', () => resolve(true)).on('error', () => resolve(false)),
  )
  session.destroy()
  return isConnected
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A client that speaks HTTP/2. @param localAddress address that it connects from */
export function http2Client(t: Test, url: string, localAddress = '127.0.0.1'): Http2Client {
  const { hostname: host, port } = new URL(url)
  const options = { host, port: Number(port), ca: readFileSync(CERTIFICATE), localAddress }
  const session = connect(url, { createConnection: () => connectTls({ ...options, ALPNProtocols: ['h2'] }) })
  t.teardown(() => session.close())
  return new Http2Client(session)
}

export class Http2Client {
  readonly #session: ClientHttp2Session

  constructor(session: ClientHttp2Session) {
    this.#session = session
  }

  async request(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body?: Uint8Array | string,
  ): Promise<Answer> {
    const text: string[] = []
    const stream = this.#session.request({ ':method': method, ':path': path, ...headers })
    stream.setEncoding('utf8')
    stream.end(body)
    const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }]
    for await (const part of stream) text.push(part as string)
    return { status: answer[':status'], headers: answer, body: text.join('') }
  }

  /** The parts of an answer as they arrive. */
  async *parts(path: string, headers: Readonly<Record<string, string>>): AsyncGenerator<string> {
    const stream = this.#session.request({ ':path': path, ...headers })
    stream.setEncoding('utf8')
    yield* stream as AsyncIterable<string>
  }
}
