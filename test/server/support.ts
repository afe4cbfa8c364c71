import { Writable } from 'node:stream'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import type { Audit } from '../../src/server/access/audit.ts'
import type { ImageBudget } from '../../src/server/access/image-budget.ts'
import type { Tenants } from '../../src/server/access/tenants.ts'
import type { TrustedProxies } from '../../src/server/addresses/trusted-proxies.ts'
import { type AppOptions, buildApp } from '../../src/server/app.ts'
import { localHost } from '../../src/server/execution/local-host.ts'
import type { CheckedKeySet, InferenceJob } from '../../src/server/inference/engine.ts'
import { InferenceCancelled } from '../../src/server/inference/engine.ts'
import { ModelCatalogue, servedModel } from '../../src/server/models/catalogue.ts'
import { createLogger } from '../../src/server/plugins/logging.ts'
import type { SecurityOptions } from '../../src/server/plugins/security.ts'
import type { JobEvents, LaneExecutor } from '../../src/server/scheduling/lane-executor.ts'
import { ScheduledEngine, type ScheduledEngineOptions } from '../../src/server/scheduling/scheduled-engine.ts'
import type { App } from '../../src/server/services.ts'
import type { KeySetStorage } from '../../src/server/stores/key-set-bytes.ts'
import { KeyStore } from '../../src/server/stores/key-store.ts'
import type { KeyStoreLimits } from '../../src/server/stores/key-store-limits.ts'
import { memoryStorage } from '../../src/server/stores/memory-files.ts'
import { keySetBytes } from '../../src/wire/index.ts'
import { parameters, smallCircuit, withEverySlot } from '../circuit/circuits.ts'

export const circuit = withEverySlot(smallCircuit())
export const model = servedModel(circuit, 'small.pvc')
export const elements = [...model.manifest.galoisElements].sort((a, b) => a - b)
export const keyBytes = keySetBytes(parameters, elements)

/** Workers without encryption. Tests set the results of their checks and their inferences. */
export class SteeredEngine implements LaneExecutor {
  readonly lanes: number
  readonly threads = 1
  ready = true
  closed = false
  /** Results of the next checks of key sets, in order; afterwards all key sets are good. */
  readonly checks: (CheckedKeySet | Error)[] = []
  readonly jobs: InferenceJob[] = []
  checked = 0
  /** Key sets that the workers were told to forget. */
  readonly forgotten: string[] = []
  /** The result of an inference; by default the first 100 bytes of the frame, reversed. */
  work: (job: InferenceJob) => Promise<Uint8Array> = async ({ frame }) => frame.slice(0, 100).reverse()

  /** @param lanes each runs one inference of a key set and circuit at a time */
  constructor(lanes = 64) {
    this.lanes = lanes
  }

  isReady(): boolean {
    return this.ready
  }

  watch(): void {}

  forgetKeys(name: string): void {
    this.forgotten.push(name)
  }

  async checkKeys(): Promise<CheckedKeySet> {
    this.checked++
    const result = this.checks.shift() ?? { galoisElements: elements, digest: 'd'.repeat(64) }
    if (result instanceof Error) throw result
    return result
  }

  infer(job: InferenceJob, _lane: number, { onEnd }: JobEvents): Promise<Uint8Array> {
    this.jobs.push(job)
    return this.work(job).finally(onEnd)
  }

  async close(): Promise<void> {
    this.closed = true
  }
}

/** An inference that ends only when it is cancelled. */
export const untilCancelled = ({ signal }: InferenceJob): Promise<Uint8Array> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new InferenceCancelled()))
  })

export interface Harness {
  readonly app: App
  readonly engine: SteeredEngine
  readonly keys: KeyStore
  readonly clock: { now: number }
  /** Everything that was logged. */
  readonly log: () => string
  readonly inject: (options: InjectOptions) => Promise<LightMyRequestResponse>
}

export interface HarnessOptions {
  readonly limits?: Partial<KeyStoreLimits>
  readonly security?: Partial<SecurityOptions>
  readonly models?: ModelCatalogue
  readonly trustProxy?: TrustedProxies
  readonly tenants?: Tenants
  readonly budget?: ImageBudget
  readonly audit?: Audit
  readonly auditLog?: AppOptions['auditLog']
  readonly isLocal?: boolean
  readonly maxInferenceMinutes?: number
  readonly lanes?: number
  readonly scheduling?: Partial<ScheduledEngineOptions>
  readonly bodyBytes?: number
  readonly drainSeconds?: number
  readonly stalledReaderSeconds?: number
  /** By default in memory. */
  readonly keySets?: KeySetStorage
  readonly storage?: AppOptions['storage']
  /** Directory of the web page; by default there is none. */
  readonly page?: string
}

/** A scheduler that refuses and delays nothing. */
export const UNLIMITED: ScheduledEngineOptions = {
  placesPerLane: Infinity,
  placesPerOwner: Infinity,
  mostPerOwner: Infinity,
  mostPerKeySet: Infinity,
  laneBytes: Infinity,
  queue: Infinity,
  queueSeconds: Infinity,
  silenceMilliseconds: Infinity,
}

export async function harness(test: Test = t as Test, options: HarnessOptions = {}): Promise<Harness> {
  const engine = new SteeredEngine(options.lanes)
  const clock = { now: Date.UTC(2030, 0, 1) }
  const limits = {
    ttlMilliseconds: 3_600_000,
    maxSets: 4,
    maxSetBytes: 1e9,
    maxTotalBytes: 4e9,
    ...options.limits,
  }
  const lines: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const logger = createLogger('trace', stream)
  const keys = await KeyStore.open(options.keySets ?? memoryStorage(), limits, () => clock.now, logger)
  const scheduled = new ScheduledEngine(engine, { ...UNLIMITED, ...options.scheduling })
  const app = await buildApp({
    models: options.models ?? new ModelCatalogue([model]),
    keys,
    storage: options.storage,
    page: options.page,
    engine: scheduled,
    host: localHost(scheduled, options),
    trustProxy: options.trustProxy,
    tenants: options.tenants,
    budget: options.budget,
    audit: options.audit,
    auditLog: options.auditLog,
    isLocal: options.isLocal,
    bodyBytes: options.bodyBytes,
    drainSeconds: options.drainSeconds,
    stalledReaderSeconds: options.stalledReaderSeconds,
    security: { requestsPerMinute: 10_000, maxEventLoopDelayMs: 0, ...options.security },
    logger,
  })
  test.teardown(() => app.close())
  return { app, engine, keys, clock, log: () => lines.join(''), inject: (request) => app.inject(request) }
}

/** Announces a key set of the small model. @param remoteAddress address of the client */
export const announce = (
  h: Pick<Harness, 'inject'>,
  change: object = {},
  remoteAddress?: string,
): Promise<LightMyRequestResponse> =>
  h.inject({
    method: 'POST',
    url: '/v2/keys',
    remoteAddress,
    payload: { parametersDigest: parameters.digest, bytes: keyBytes, galoisElements: elements, ...change },
  })

export const putPart = (
  h: Pick<Harness, 'inject'>,
  id: string,
  offset: number,
  part: Uint8Array,
): Promise<LightMyRequestResponse> =>
  h.inject({
    method: 'PUT',
    url: `/v2/keys/${id}`,
    headers: { 'content-type': 'application/octet-stream', 'upload-offset': String(offset) },
    payload: Buffer.from(part),
  })

/** Bytes that differ from place to place, so that a test notices parts in a wrong order. */
export function patterned(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length)
  // Key sets have megabytes, and `Uint8Array.from` is ten times slower than this loop.
  for (let i = 0; i < length; i++) bytes[i] = i * 31 + (i >> 8) * 17 + seed
  return bytes
}

/** Uploads a complete key set that the steered engine accepts. @returns its id */
export async function uploadKeys(h: Pick<Harness, 'inject'>, remoteAddress?: string): Promise<string> {
  const { id } = (await announce(h, {}, remoteAddress)).json()
  const bytes = patterned(keyBytes)
  for (let offset = 0; offset < keyBytes; offset += 8 << 20) {
    const answer = await putPart(h, id, offset, bytes.subarray(offset, offset + (8 << 20)))
    if (answer.statusCode !== 200) throw new Error(answer.body)
  }
  return id
}

export interface Query {
  readonly header?: object
  readonly frame?: Uint8Array
  readonly headers?: Record<string, string>
  readonly model?: string
}

/** A well-formed query with `header` merged into its JSON. */
export function query(
  keySet: string,
  { header = {}, frame, headers, model: name = 'small' }: Query = {},
): InjectOptions {
  const bytes = frame ?? patterned(model.queryBytes)
  const json = Buffer.from(
    JSON.stringify({
      parameters: { key_set: keySet, manifest_digest: model.manifest.digest },
      inputs: [
        { name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: bytes.length } },
      ],
      ...header,
    }),
  )
  return {
    method: 'POST',
    url: `/v2/models/${name}/infer`,
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(json.length),
      ...headers,
    },
    payload: Buffer.concat([json, bytes]),
  }
}

/** A request about an inference. @param keySet with which it began */
export const watch = (inference: string, keySet: string): InjectOptions => ({
  url: `/v2/inferences/${inference}`,
  headers: { 'polyveil-key-set': keySet },
})

/** The JSON and the frame of a binary answer. */
export function splitAnswer(answer: LightMyRequestResponse): {
  json: Record<string, unknown>
  frame: Uint8Array
} {
  const length = Number(answer.headers['inference-header-content-length'])
  const body = answer.rawPayload
  return {
    json: JSON.parse(body.subarray(0, length).toString()),
    frame: new Uint8Array(body.subarray(length)),
  }
}

/** Checks that an answer is a well-formed problem. */
export function isProblem(
  test: Test,
  answer: LightMyRequestResponse,
  status: number,
  code: string,
  facts: object = {},
): void {
  test.equal(answer.statusCode, status, `status of ${code}`)
  test.equal(answer.headers['content-type'], 'application/problem+json')
  const problem = answer.json()
  test.match(problem, { type: `urn:polyveil:error:${code}`, status, code, ...facts })
  test.equal(problem.error, problem.detail)
  for (const member of ['title', 'detail', 'remedy', 'requestId'])
    test.ok(problem[member], `the problem has ${member}`)
  test.notMatch(answer.body, /\n\s+at |node_modules|\.ts:/, 'the problem has no stack')
}
