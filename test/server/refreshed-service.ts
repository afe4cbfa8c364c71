import type { Test } from 'tap'
import { answerPeriod } from '../../src/circuit/answer.ts'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import {
  DEFAULT_LIMITS,
  imageSlots,
  KeyRing,
  LocalModel,
  memoryKeyStore,
  readBatch,
} from '../../src/client/index.ts'
import { modelSizes } from '../../src/client/local/limits.ts'
import { createClearEvaluator } from '../../src/he-ops/clear/evaluator.ts'
import { periodicPart } from '../../src/he-ops/encoding/decode-periodic.ts'
import { execute } from '../../src/he-ops/executor.ts'
import type { ServerOverrides } from '../../src/server/config.ts'
import type { RunningServer } from '../../src/server/start.ts'
import { refreshedCircuit } from '../he-ops/simd/circuits.ts'
import { collect } from '../wire/fixtures.ts'
import { serving } from './serving.ts'

// A circuit with two refresh rounds on a complete service: a port, key sets on disk, and a worker with the
// simd engine.

export const circuit = refreshedCircuit()
export const manifest = manifestOf(circuit)
export const MODEL = circuit.model
export const sizes = modelSizes(manifest, circuit.parameters, DEFAULT_LIMITS)

export const image = {
  shape: [3, 3, 5] as const,
  tensor: Float64Array.from({ length: 45 }, (_, i) => 3.5 * Math.sin(i + 1)),
}

/** The logits that the circuit computes from the image, on plain numbers. */
export const expectedLogits: Float64Array = (() => {
  const clear = createClearEvaluator(circuit)
  const { level, scale } = circuit.input
  const inputs = imageSlots(image.tensor, circuit.input, circuit.parameters.slots).map((vector) =>
    clear.encrypt(vector, level, scale),
  )
  const answer = clear.decrypt(execute(circuit, clear, inputs))
  return readBatch(periodicPart(answer, answerPeriod(circuit)), circuit)[0]
})()

export const largestError = (logits: Float64Array): number =>
  expectedLogits.reduce((most, value, k) => Math.max(most, Math.abs(value - logits[k])), 0)

export const started = (t: Test, overrides?: ServerOverrides, directory?: string): Promise<RunningServer> =>
  serving(t, circuit, overrides, directory)

/** An answer of the server: its JSON and the frame after it. */
export interface Said {
  readonly status: number
  readonly bytes: Buffer
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at fields of whatever came
  readonly json: any
  readonly frame: Uint8Array
}

/** A client that makes each request separately, so that tests can send wrong ones. */
export class StepClient {
  readonly model: LocalModel
  readonly #url: string
  readonly #headers: Readonly<Record<string, string>>
  keySet = ''

  private constructor(url: string, model: LocalModel, headers: Readonly<Record<string, string>>) {
    this.#url = url
    this.#headers = headers
    this.model = model
  }

  /** The same client, with its keys, at another address. It uploads nothing. */
  at(url: string): StepClient {
    const client = new StepClient(url, this.model, this.#headers)
    client.keySet = this.keySet
    return client
  }

  /**
   * @param served the manifest of the circuit
   * @param headers of every request
   */
  static async create(url: string, served = manifest, headers = {}): Promise<StepClient> {
    const client = new StepClient(url, new LocalModel(served, new KeyRing(memoryKeyStore())), headers)
    await client.#upload()
    return client
  }

  async #upload(): Promise<void> {
    const { manifest } = this.model
    const bytes = await collect(this.model.keySet())
    const announcement = {
      parametersDigest: manifest.parametersDigest,
      bytes: bytes.length,
      galoisElements: manifest.galoisElements,
    }
    const created = await this.request('POST', 'v2/keys', JSON.stringify(announcement), {
      'content-type': 'application/json',
    })
    this.keySet = created.json.id
    const stored = await this.request('PUT', `v2/keys/${this.keySet}`, bytes, { 'upload-offset': '0' })
    if (!stored.json.complete) throw new Error(stored.bytes.toString())
  }

  /** Starts an inference; the answer asks for round 0. */
  async begin(id?: string, signal?: AbortSignal, headers = {}): Promise<Said> {
    const { manifest } = this.model
    const frame = await this.model.encrypt(image)
    const tensor = {
      name: 'image',
      datatype: 'BYTES',
      shape: [1],
      parameters: { binary_data_size: frame.length },
    }
    const parameters = { key_set: this.keySet, manifest_digest: manifest.digest }
    const json = Buffer.from(JSON.stringify({ id, parameters, inputs: [tensor] }))
    return this.request(
      'POST',
      `v2/models/${MODEL}/infer`,
      Buffer.concat([json, frame]),
      { 'inference-header-content-length': String(json.length), ...headers },
      signal,
    )
  }

  round(
    id: string,
    round: number | string,
    body: Uint8Array | ReadableStream,
    keySet = this.keySet,
    headers = {},
  ): Promise<Said> {
    return this.request('POST', `v2/inferences/${id}/rounds/${round}`, body, {
      'polyveil-key-set': keySet,
      ...headers,
    })
  }

  /** Fetches the masked tensor of a round. */
  output(id: string, round: number, keySet = this.keySet): Promise<Said> {
    return this.request('GET', `v2/inferences/${id}/rounds/${round}`, undefined, {
      'polyveil-key-set': keySet,
    })
  }

  /** Answers the refresh request of the server. */
  async answer({ json, frame }: Said): Promise<Said> {
    const { round } = json.parameters
    return this.round(json.id, round, await this.model.refresh(round, frame))
  }

  /** Runs a whole inference. @returns the largest error of a logit */
  async classify(): Promise<number> {
    return this.finish(await this.begin())
  }

  /** Runs the remaining rounds of an inference. @returns the largest error of a logit */
  async finish(request: Said): Promise<number> {
    let said = request
    while (said.json.outputs?.[0].name === 'refresh') said = await this.answer(said)
    if (said.status !== 200) throw new Error(said.bytes.toString())
    return largestError(await this.model.decrypt(said.frame))
  }

  /** Sends a request that names the client's key set. */
  own(method: string, path: string): Promise<Said> {
    return this.request(method, path, undefined, { 'polyveil-key-set': this.keySet })
  }

  async request(
    method: string,
    path: string,
    body?: Uint8Array | ReadableStream | string,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Said> {
    const response = await fetch(`${this.#url}/${path}`, {
      method,
      body: body as BodyInit,
      headers: { ...(body && { 'content-type': 'application/octet-stream' }), ...this.#headers, ...headers },
      signal,
      // Bodies that are streams need this.
      ...({ duplex: 'half' } as object),
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    const length = Number(response.headers.get('inference-header-content-length') ?? bytes.length)
    return {
      status: response.status,
      bytes,
      json: length > 0 ? parsed(bytes.subarray(0, length).toString()) : undefined,
      frame: new Uint8Array(bytes.subarray(length)),
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
