import { type Manifest, manifestOf } from '../../src/circuit/manifest/manifest.ts'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import type { Circuit } from '../../src/circuit/types.ts'
import { PolyVeilError } from '../../src/errors/index.ts'
import { loadKeySet } from '../../src/he-ops/seal/keys/index.ts'
import { withHeap } from '../../src/he-ops/seal/runtime.ts'
import { ciphertextToWire } from '../../src/he-ops/seal/serialization/ciphertexts.ts'
import { toSealOrder } from '../../src/he-ops/seal/slot-order.ts'
import { bytesSource, decodeTensor, encodeTensor, querySpec, responseSpec } from '../../src/wire/index.ts'
import { sharedSealContext } from '../support/seal-contexts.ts'
import { parameters as largePrimes } from '../wire/fixtures.ts'

export const ORIGIN = 'http://polyveil.test/prefix/'
export const LABELS = ['zero', 'one', 'two', 'three', 'four']

const primes = nttPrimes(8192, [30, 29, 28, 30]).map(String)
/** Three levels and a special prime, for which clients use the kernels. */
export const parameters = checkParameters({
  ring: 8192,
  primes: primes.slice(0, -1),
  specialPrimes: primes.slice(-1),
})

const op = { layer: 0, level: 2, scale: 2 ** 28 }

/**
 * A circuit of five classes. Its image has 5 x 3 grey pixels in 2 x 2 patches, packed into two ciphertexts.
 */
export const circuit: Circuit = {
  model: 'toy-model',
  labels: LABELS,
  parameters,
  batch: 1,
  input: {
    preprocessing: {
      channels: 'grey',
      resize: { mode: 'squash', height: 5, width: 3 },
      interpolation: 'bilinear',
      mean: [0.5],
      std: [0.25],
    },
    image: [1, 5, 3],
    patch: 2,
    layout: {
      channels: 4,
      height: 3,
      width: 2,
      interleave: 4,
      parts: 2,
      channelsPerCiphertext: 2,
      rowStride: 5,
      columnStride: 2,
      offset: 2,
      ciphertexts: 2,
    },
    level: 2,
    scale: 2 ** 28,
    bound: 6,
  },
  output: {
    classes: 5,
    period: 8,
    level: 1,
    scale: 2 ** 26,
    bound: 50,
    tolerance: 0.01,
    flooding: 0,
    precision: 2 ** -8,
  },
  layers: [],
  constants: [],
  ops: [
    { kind: 'input', index: 0, ...op },
    { kind: 'rotate', source: 0, steps: 4000, ...op },
    { kind: 'rotate', source: 1, steps: 5, ...op },
  ],
  result: 2,
  estimate: {
    logitError: 0.0004,
    isMeasured: true,
    seconds: 3,
    precisionBits: 12,
    memoryBytes: 1,
    bytes: { keys: 1, query: 1, refreshUp: 0, refreshDown: 0, response: 1 },
  },
}

export const manifest: Manifest = manifestOf(circuit)

/** The same circuit with primes that the kernels cannot take, so that clients use node-seal. */
export const circuitOfLargePrimes: Circuit = { ...circuit, parameters: largePrimes }

/** The slots of an honest answer with these logits and a little noise. */
export const honestSlots = (logits: readonly number[]): Float64Array =>
  Float64Array.from({ length: 4096 }, (_, s) => (logits[s % 8] ?? 0) + 0.001 * Math.sin(s))

/** The slots after a computation wrapped around: large, and different in every slot. */
export const wrappedSlots = Float64Array.from({ length: 4096 }, (_, s) => 90_000 * Math.sin(s * s + 1))

/** A request as the server receives it. */
export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export type Handler = (seen: Seen) => Response | undefined | Promise<Response | undefined>

/**
 * A server in the process of the test, without a port. It keeps key sets in memory. It answers every
 * well-formed query with `slots`, encrypted under the client's public key.
 */
export class FakeServer {
  readonly seen: Seen[] = []
  readonly keySets = new Map<
    string,
    { bytes: number; elements: number[]; received: Uint8Array[]; parameters: string }
  >()
  #created = 0
  slots = honestSlots([1, 2, 3, 4, 5])
  readonly #circuit: Circuit
  manifest: unknown
  /** Manifests of further models by name. The server gives them out, and accepts keys for them. */
  readonly others = new Map<string, Manifest>()
  /** Replaces the answer of the server when it returns a response; breaks the connection when it throws. */
  intercept: Handler = () => undefined
  /** The latest query. */
  query: Uint8Array | undefined

  constructor(served: Circuit = circuit) {
    this.#circuit = served
    this.manifest = manifestOf(served)
  }

  readonly fetch: typeof fetch = async (url, init) => {
    init?.signal?.throwIfAborted()
    const request = new Request(url, init as RequestInit)
    const path = request.url.slice(ORIGIN.length)
    const seen = {
      method: request.method,
      path,
      headers: Object.fromEntries(request.headers),
      body: new Uint8Array(await request.arrayBuffer()),
    }
    this.seen.push(seen)
    try {
      const response = (await this.intercept(seen)) ?? (await this.#answer(seen))
      init?.signal?.throwIfAborted()
      return response
    } catch (error) {
      if (error instanceof PolyVeilError) return problem(error)
      throw error
    }
  }

  async #answer(seen: Seen): Promise<Response> {
    const { method, path, headers } = seen
    if (!request(seen, ORIGIN)) throw new Error('a request to another server')
    const [, resource, inPath, action] = decodeURIComponent(path).split('/')
    const name = inPath ?? headers['polyveil-key-set']
    if (path === 'v2') return Response.json({ name: 'fake', version: '0', extensions: ['polyveil_ckks'] })
    if (path === 'v2/models') return Response.json({ models: [{ name: 'toy-model', labels: LABELS }] })
    const other = resource === 'models' && this.others.get(name)
    if (other && action === 'manifest') return Response.json(other)
    if (resource === 'models' && name !== 'toy-model')
      throw new PolyVeilError('MODEL_UNKNOWN', `No model ${name}`)
    if (action === 'manifest') return Response.json(this.manifest)
    if (action === 'infer') return this.#infer(seen)
    if (resource === 'keys' && method === 'POST') return this.#create(seen)
    if (resource === 'keys' && method === 'PUT') return this.#append(name, seen)
    if (resource === 'keys' && method === 'GET') return Response.json(this.#state(name))
    if (resource === 'keys' && method === 'DELETE') return this.#delete(name)
    throw new PolyVeilError('MODEL_UNKNOWN', 'No such route')
  }

  #delete(id: string): Response {
    this.#state(id)
    this.keySets.delete(id)
    return new Response(null, { status: 204 })
  }

  #create({ body }: Seen): Response {
    const announced = JSON.parse(new TextDecoder().decode(body))
    const id = `key-set-${this.#created++}`
    this.keySets.set(id, {
      bytes: announced.bytes,
      elements: announced.galoisElements,
      parameters: announced.parametersDigest,
      received: [],
    })
    return Response.json(this.#state(id), { status: 201 })
  }

  #append(id: string, { headers, body }: Seen): Response {
    const { uploadOffset } = this.#state(id)
    if (Number(headers['upload-offset']) !== uploadOffset) {
      throw new PolyVeilError('TENSOR_MALFORMED', 'wrong offset', { uploadOffset })
    }
    this.keySets.get(id)!.received.push(body)
    return Response.json(this.#state(id))
  }

  #state(id: string) {
    const set = this.keySets.get(id)
    if (!set) throw new PolyVeilError('KEYS_EXPIRED', 'gone')
    const uploadOffset = set.received.reduce((sum, part) => sum + part.length, 0)
    return {
      id,
      uploadOffset,
      bytes: set.bytes,
      complete: uploadOffset === set.bytes,
      expires: '2099-01-01T00:00:00.000Z',
      parametersDigest: set.parameters,
      galoisElements: set.elements,
    }
  }

  async #infer({ headers, body }: Seen): Promise<Response> {
    const length = Number(headers['inference-header-content-length'])
    const { parameters: asked, inputs } = JSON.parse(new TextDecoder().decode(body.subarray(0, length)))
    const frame = body.subarray(length)
    if (inputs[0].parameters.binary_data_size !== frame.length) throw new Error('wrong binary_data_size')
    const served = manifestOf(this.#circuit)
    if (asked.manifest_digest !== served.digest)
      throw new PolyVeilError('PARAMETERS_MISMATCH', 'old manifest')
    this.#state(asked.key_set)
    this.query = frame
    decodeTensor(this.#circuit.parameters, querySpec(served), frame)
    const keys = Buffer.concat(this.keySets.get(asked.key_set)!.received)
    return binaryAnswer(await encryptedAnswer(Uint8Array.from(keys), this.slots, this.#circuit))
  }
}

const request = ({ path }: Seen, origin: string): boolean => URL.canParse(path, origin)

/** An answer in the binary form of the OIP. */
/** @param headerBytes length of the JSON header, which is padded with spaces */
export function binaryAnswer(frame: Uint8Array, announced = frame.length, headerBytes = 0): Response {
  const output = {
    name: 'logits',
    datatype: 'BYTES',
    shape: [1],
    parameters: { binary_data_size: announced },
  }
  const json = new TextEncoder().encode(
    JSON.stringify({ model_name: 'toy-model', model_version: '1', id: 'i', outputs: [output] }).padEnd(
      headerBytes,
    ),
  )
  return new Response(Buffer.concat([json, frame]), {
    headers: { 'inference-header-content-length': String(json.length) },
  })
}

export const problem = (error: PolyVeilError, headers: Record<string, string> = {}): Response =>
  Response.json(
    {
      ...error.facts,
      type: 'urn:x',
      title: 't',
      status: error.entry.status,
      detail: error.message,
      code: error.code,
    },
    { status: error.entry.status, headers: { 'content-type': 'application/problem+json', ...headers } },
  )

/** Loads all keys of an uploaded key set, and encrypts slots under its public key. */
export async function encryptedAnswer(
  keySet: Uint8Array,
  slots: Float64Array,
  served: Circuit = circuit,
): Promise<Uint8Array> {
  const { parameters } = served
  const ctx = await sharedSealContext(parameters)
  const { seal } = ctx
  const manifest = manifestOf(served)
  const keys = await loadKeySet(ctx, bytesSource(keySet), manifest.galoisElements)
  const spec = responseSpec(manifest)
  try {
    return withHeap((own) => {
      const plaintext = own(new seal.Plaintext())
      own(new seal.CKKSEncoder(ctx.context)).encode(
        toSealOrder(slots, parameters.slots),
        spec.scale,
        plaintext,
      )
      const ciphertext = own(new seal.Ciphertext())
      own(new seal.Encryptor(ctx.context, keys.publicKey)).encrypt(plaintext, ciphertext)
      own(new seal.Evaluator(ctx.context)).cipherModSwitchToInplace(ciphertext, ctx.levelIds[spec.level])
      return encodeTensor(parameters, spec, [ciphertextToWire(ctx, ciphertext)])
    })
  } finally {
    keys.delete()
  }
}
