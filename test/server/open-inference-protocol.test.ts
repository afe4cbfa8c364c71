import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { harness, model, patterned, query, splitAnswer, uploadKeys } from './support.ts'

// Each test quotes the rule that it checks, from inference_rest.md of the Open Inference Protocol
// (github.com/kserve/open-inference-protocol), or from Triton's extension for binary tensor data.

const h = await harness(t)
const get = (url: string): Promise<LightMyRequestResponse> => h.inject({ url })
const isJson = (t: Test, { headers }: LightMyRequestResponse) =>
  t.match(headers['content-type'], /^application\/json(;|$)/)

const MODEL_PATHS = ['/v2/models/small', '/v2/models/small/versions/1'] as const

/** Checks the types of members. A list of one type stands for a list of any length. */
function hasMembers(
  t: Test,
  object: Record<string, unknown>,
  members: Record<string, string | [string]>,
): void {
  for (const [name, type] of Object.entries(members)) {
    const values = typeof type === 'string' ? [object[name]] : (object[name] as unknown[])
    for (const value of values) t.type(value, typeof type === 'string' ? type : type[0], name)
  }
}

t.test('"A successful server metadata request is indicated by a 200 HTTP status code"', async (t) => {
  const answer = await get('/v2')
  t.equal(answer.statusCode, 200)
  isJson(t, answer)
  // "name": $string, "version": $string, "extensions": [ $string, ... ]
  hasMembers(t, answer.json(), { name: 'string', version: 'string', extensions: ['string'] })
})

t.test('"Server Live | GET | v2/health/live" answers { "live": $bool }', async (t) => {
  const answer = await get('/v2/health/live')
  t.equal(answer.statusCode, 200)
  t.equal(answer.json().live, true)
})

t.test('"The server ready health API indicates if all the models are ready for inferencing"', async (t) => {
  // The text repeats the object of the live endpoint here; the API's probes and clients go by the status.
  const ready = await get('/v2/health/ready')
  t.equal(ready.statusCode, 200)
  t.match(ready.json(), { ready: true })
  h.engine.ready = false
  const unready = await get('/v2/health/ready')
  t.equal(unready.statusCode, 503)
  t.match(unready.json(), { ready: false })
  h.engine.ready = true
})

t.test(
  '"The model name and (optionally) version must be available in the URL" of model metadata',
  async (t) => {
    for (const path of MODEL_PATHS) {
      const answer = await get(path)
      t.equal(answer.statusCode, 200, path)
      isJson(t, answer)
      const metadata = answer.json()
      // "name", "versions" #optional, "platform", "inputs", "outputs"
      hasMembers(t, metadata, { name: 'string', versions: ['string'], platform: 'string' })
      for (const tensor of [...metadata.inputs, ...metadata.outputs])
        hasMembers(t, tensor, { name: 'string', datatype: 'string', shape: ['number'] })
      // "Platform names use the format <project>_<format>"
      t.match(metadata.platform, /^[a-z]+_[a-z0-9]+$/)
    }
  },
)

t.test(
  '"versions: The model versions that may be explicitly requested via the appropriate endpoint"',
  async (t) => {
    for (const version of (await get('/v2/models/small')).json().versions) {
      t.equal((await get(`/v2/models/small/versions/${version}`)).statusCode, 200)
      t.equal((await get(`/v2/models/small/versions/${version}/ready`)).statusCode, 200)
    }
  },
)

t.test(
  '"The model ready endpoint returns the readiness probe response for the server along with the name of the model"',
  async (t) => {
    for (const path of MODEL_PATHS) {
      const answer = await get(`${path}/ready`)
      t.equal(answer.statusCode, 200)
      // "name": $string, "ready": $bool
      t.match(answer.json(), { name: 'small', ready: true })
    }
  },
)

t.test(
  '"A failed request must be indicated by an HTTP error status. The HTTP body must contain" { "error": $string }',
  async (t) => {
    const keys = await uploadKeys(h)
    const failed = [
      await get('/v2/models/none'),
      await get('/v2/models/none/ready'),
      await get('/v2/models/small/versions/7'),
      await get('/v2/nothing'),
      await h.inject({ method: 'POST', url: '/v2/models/small/infer', payload: { inputs: [] } }),
      await h.inject(query(keys, { header: { inputs: [] } })),
      await h.inject(query('unknown')),
      await h.inject(query(keys, { model: 'none' })),
    ]
    for (const answer of failed) {
      t.ok(answer.statusCode >= 400 && answer.statusCode < 500)
      hasMembers(t, answer.json(), { error: 'string' })
      t.ok(answer.json().error)
    }
  },
)

t.test('"id: Optional, but if specified this identifier must be returned in the response"', async (t) => {
  const keys = await uploadKeys(h)
  for (const path of MODEL_PATHS) {
    const answer = await h.inject({ ...query(keys, { header: { id: '42' } }), url: `${path}/infer` })
    t.equal(answer.statusCode, 200)
    const { json } = splitAnswer(answer)
    // "model_name", "model_version" #optional, "id", "outputs"
    hasMembers(t, json, { model_name: 'string', model_version: 'string', id: 'string' })
    t.match(json, { model_name: 'small', model_version: '1', id: '42' })
    for (const output of json.outputs as Record<string, unknown>[])
      hasMembers(t, output, { name: 'string', datatype: 'string', shape: ['number'] })
  }
})

t.test(
  '"outputs: Optional, if not specified all outputs produced by the model will be returned"',
  async (t) => {
    const keys = await uploadKeys(h)
    const outputsOf = async (header: object) =>
      splitAnswer(await h.inject(query(keys, { header }))).json.outputs as { name: string }[]
    const names = (await get('/v2/models/small')).json().outputs.map(({ name }: { name: string }) => name)
    t.same(
      (await outputsOf({})).map(({ name }) => name),
      names,
    )
    const asked = [{ name: 'logits', parameters: { binary_data: true } }]
    t.same(
      (await outputsOf({ outputs: asked })).map(({ name }) => name),
      names,
    )
    const other = await h.inject(query(keys, { header: { outputs: [{ name: 'embedding' }] } }))
    t.equal(other.statusCode, 400)
    t.match(other.json(), { field: 'outputs.0.name' })
  },
)

t.test('the tensor that the metadata describes is the one that infer takes and gives', async (t) => {
  const { inputs, outputs } = (await get('/v2/models/small')).json()
  const [input] = inputs
  const frame = patterned(input.parameters.binary_data_size)
  const answer = await h.inject(query(await uploadKeys(h), { frame, header: { inputs } }))
  t.equal(answer.statusCode, 200)
  const [output] = splitAnswer(answer).json.outputs as Record<string, unknown>[]
  t.match(output, { name: outputs[0].name, datatype: outputs[0].datatype, shape: outputs[0].shape })
})

t.test(
  'a query as generic clients build it: binary extension, parameters of their own, no content type',
  async (t) => {
    // "Inference-Header-Content-Length: the length of the JSON object"; "binary_data_size: the size in bytes"
    const keys = await uploadKeys(h)
    const frame = patterned(model.queryBytes)
    const json = Buffer.from(
      JSON.stringify({
        id: 'generic',
        parameters: {
          key_set: keys,
          manifest_digest: model.manifest.digest,
          binary_data_output: true,
          priority: 3,
        },
        inputs: [
          { name: 'image', shape: [1], datatype: 'BYTES', parameters: { binary_data_size: frame.length } },
        ],
        outputs: [{ name: 'logits', parameters: { binary_data: true } }],
      }),
    )
    const answer = await h.inject({
      method: 'POST',
      url: '/v2/models/small/versions/1/infer',
      headers: { 'Inference-Header-Content-Length': String(json.length), Accept: '*/*' },
      payload: Buffer.concat([json, frame]),
    })
    t.equal(answer.statusCode, 200)
    const { json: header, frame: logits } = splitAnswer(answer)
    const [output] = header.outputs as { parameters: { binary_data_size: number } }[]
    t.equal(output.parameters.binary_data_size, logits.length)
  },
)
