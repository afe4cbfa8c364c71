import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { announce, harness, query, uploadKeys } from './support.ts'

interface Operation {
  readonly operationId: string
  readonly parameters?: readonly { readonly in: string; readonly name: string }[]
  readonly requestBody?: { readonly content: Record<string, { schema: Record<string, unknown> }> }
  readonly responses: Record<
    string,
    {
      readonly description: string
      readonly headers: Record<string, object>
      readonly content?: Record<string, { schema: Record<string, unknown> }>
    }
  >
}

const h = await harness(t)
const document = (await h.inject({ url: '/openapi.json' })).json()
const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
  ([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, name: `${method} ${path}`, operation })),
)
const operation = (name: string): Operation =>
  operations.find((each) => each.name === name)?.operation as Operation

t.test('the document is valid OpenAPI 3.1', async (t) => {
  const validator = new Validator()
  const { valid, errors } = await validator.validate(structuredClone(document))
  t.ok(valid, JSON.stringify(errors)?.slice(0, 1000))
  t.equal(validator.version, '3.1')
  const broken = structuredClone(document)
  delete broken.paths['/v2'].get.responses[200].description
  t.notOk((await validator.validate(broken)).valid, 'the validator finds faults')
})

t.test('the names in it are complete', async (t) => {
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length, 'each operation has an id of its own')
  for (const id of ids) t.match(id, /^[a-z][A-Za-z]+$/)
  for (const { path, name, operation } of operations) {
    const named = (operation.parameters ?? []).filter((each) => each.in === 'path').map((each) => each.name)
    t.same(named.sort(), [...path.matchAll(/\{(\w+)\}/g)].map(([, each]) => each).sort(), name)
  }
  const references = new Set(
    [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(
      ([, each]) => each,
    ),
  )
  t.same([...references].sort(), Object.keys(document.components.schemas).sort())
})

t.test('every response has its headers, and problems their media type', async (t) => {
  for (const { name, operation } of operations) {
    for (const [status, { headers, content, description }] of Object.entries(operation.responses)) {
      t.match(status, /^\d{3}$/, `${name} has no ranges of statuses`)
      t.ok(headers['x-request-id'], `${name} ${status}`)
      t.equal(headers['retry-after'] !== undefined, ['429', '503'].includes(status))
      t.notMatch(description, 'Default')
      if (Number(status) < 400) continue
      t.same(content?.['application/problem+json'].schema, { $ref: '#/components/schemas/Problem' })
    }
    for (const status of [400, 408, 414, 431, 500, 503])
      t.ok(operation.responses[status], `${name} ${status}`)
  }
  t.ok(operation('post /v2/keys').responses[201].headers.location)
  t.ok(operation('get /v2/models/{model}/manifest').responses[304].headers.etag)
  t.ok(operation('post /v2/inferences/{id}/rounds/{round}').responses[204].headers['preference-applied'])
  for (const name of ['post /v2/models/{model}/infer', 'get /v2/inferences/{id}/rounds/{round}'])
    t.ok(operation(name).responses[200].headers['inference-header-content-length'])
  t.notOk(operation('get /v2/health/ready').responses[429], 'health is not limited')
  t.same(Object.keys(operation('get /v2/health/ready').responses[503].content ?? {}), [
    'application/json',
    'application/problem+json',
  ])
})

t.test('answers have the headers and media types that it describes', async (t) => {
  const keys = await uploadKeys(h)
  const etag = (await h.inject({ url: '/v2/models/small/manifest' })).headers.etag as string
  const cases = [
    ['get /v2', await h.inject({ url: '/v2' })],
    ['get /metrics', await h.inject({ url: '/metrics' })],
    ['post /v2/keys', await announce(h)],
    ['post /v2/keys', await announce(h, { galoisElements: [3, 3] })],
    ['get /v2/models/{model}', await h.inject({ url: '/v2/models/none' })],
    ['get /v2/models/{model}/manifest', await h.inject({ url: '/v2/models/small/manifest' })],
    [
      'get /v2/models/{model}/manifest',
      await h.inject({ url: '/v2/models/small/manifest', headers: { 'if-none-match': etag } }),
    ],
    ['post /v2/models/{model}/infer', await h.inject(query(keys))],
    ['post /v2/models/{model}/infer', await h.inject(query('none'))],
    ['get /v2/keys/{id}', await h.inject({ url: '/v2/keys/none' })],
  ] as const
  for (const [name, { statusCode, headers }] of cases) {
    const response = operation(name).responses[statusCode]
    t.ok(response, `${name} ${statusCode}`)
    for (const header of Object.keys(response.headers))
      t.ok(headers[header], `${name} ${statusCode} ${header}`)
    const type = String(headers['content-type'] ?? '').split(';')[0]
    if (response.content) t.same(Object.keys(response.content), [type], `${name} ${statusCode}`)
  }
})

t.test('the JSON at the beginning of binary bodies is described', async (t) => {
  const { requestBody, responses } = operation('post /v2/models/{model}/infer')
  const bytes = 'application/octet-stream'
  const request = { $ref: '#/components/schemas/InferenceRequestHeader' }
  const answer = { $ref: '#/components/schemas/InferenceResponseHeader' }
  t.same(requestBody?.content[bytes].schema['x-json-header'], request)
  t.same(responses[200].content?.[bytes].schema['x-json-header'], answer)
  const { InferenceRequestHeader, InferenceResponseHeader } = document.components.schemas
  t.same(InferenceRequestHeader.required, ['parameters', 'inputs'])
  t.same(Object.keys(InferenceRequestHeader.properties), ['id', 'parameters', 'inputs', 'outputs'])
  t.equal(InferenceResponseHeader.anyOf.length, 2)
  for (const kind of InferenceResponseHeader.anyOf)
    t.match(Object.keys(kind.properties), ['model_name', 'model_version', 'id'])
})
