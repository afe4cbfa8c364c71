import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request as secureRequest } from 'node:https'
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { ServerAddress } from '../../client/transport/address.ts'
import { UsageError } from '../usage-error.ts'
import { headersOf, type ServerOptions, withHeaders } from './server.ts'

/** Where the management port is. */
export interface ManagementFlags extends ServerOptions {
  readonly url?: string
  readonly config?: string
}

export const withManagement = (command: Command): Command =>
  withHeaders(
    command
      .option(
        '--url <url>',
        'the management port of the service (default: that of the settings, on this machine)',
      )
      .option('--config <file>', 'configuration file of the service'),
  )

/** Requests to the management port of a service. */
export class ManagementClient {
  readonly #address: ServerAddress
  readonly #signal: AbortSignal

  private constructor(address: ServerAddress, signal: AbortSignal) {
    this.#address = address
    this.#signal = signal
  }

  /** @throws UsageError when neither a flag nor the settings say where the port is */
  static async at(flags: ManagementFlags, signal: AbortSignal): Promise<ManagementClient> {
    const { serverAddress } = await import('../../client/transport/address.ts')
    const url = flags.url ?? (await configuredUrl(flags.config))
    return new ManagementClient(serverAddress(url, { headers: headersOf(flags) }), signal)
  }

  /**
   * Sends a request, and waits for its answer without a limit: a backup may copy many gigabytes.
   *
   * @param path relative, each part of it encoded
   * @param body JSON
   * @returns the JSON of the answer; undefined where it has none
   * @throws errors of the server; SERVER_UNREACHABLE; CONFIG_INVALID when another program answers
   */
  async send<T>(method: string, path: string, body?: object): Promise<T> {
    const text = body && JSON.stringify(body)
    const { base } = this.#address
    const { response, bytes } = await this.#exchange(method, path, text).catch(async (cause) => {
      this.#signal.throwIfAborted()
      const { NetworkError } = await import('../../client/transport/network-error.ts')
      throw new NetworkError({ base, sentBytes: text?.length ?? 0 }, cause)
    })
    const { statusCode: status = 0, headers } = response
    const type = headers['content-type'] ?? ''
    if (status === 204) return undefined as T
    const isJson = /^application\/json\b/.test(type)
    if ((status === 200 || status === 201) && isJson) return JSON.parse(bytes.toString())
    const { problemError } = await import('../../client/transport/problem.ts')
    const problem = problemError(bytes, new Headers({ 'retry-after': headers['retry-after'] ?? '' }))
    if (problem) throw problem
    const { ForeignAnswer } = await import('../../client/transport/foreign-answer.ts')
    throw new ForeignAnswer({
      origin: base.origin,
      method,
      status,
      server: headers.server?.toString() ?? null,
      contentType: type || null,
      location: headers.location ?? null,
      sentBytes: text?.length ?? 0,
      namesKeySet: false,
      namesInference: false,
    })
  }

  async #exchange(
    method: string,
    path: string,
    text: string | undefined,
  ): Promise<{ response: IncomingMessage; bytes: Buffer }> {
    const { base, headers } = this.#address
    const send = base.protocol === 'https:' ? secureRequest : plainRequest
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const sent = send(
      new URL(path, base),
      {
        method,
        signal: this.#signal,
        headers: { ...headers, ...(text && { 'content-type': 'application/json' }) },
      },
      resolve,
    )
    sent.on('error', reject)
    sent.end(text)
    const response = await promise
    return { response, bytes: await buffer(response) }
  }
}

/** Addresses that stand for all of the machine, and the one among them to ask. */
const LOOPBACK: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

async function configuredUrl(file: string | undefined): Promise<string> {
  const { readConfig } = await import('../../server/config.ts')
  // The service needs circuits; its address does not.
  const env = { POLYVEIL_MODELS_DIR: '.', ...process.env }
  const { managementHost, managementPort = 0 } = await readConfig({ env, file })
  if (managementPort === 0) {
    throw new UsageError(
      'The settings do not say where the management port is; give --url, or set managementPort (POLYVEIL_MANAGEMENT_PORT)',
    )
  }
  const address = LOOPBACK[managementHost] ?? managementHost
  return `http://${address.includes(':') ? `[${address}]` : address}:${managementPort}`
}
