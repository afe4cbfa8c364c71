import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { uploadKeys } from '../support.ts'
import { managed } from './support.ts'

interface Operation {
  readonly operationId: string
  readonly responses: Record<string, { headers: object; content?: Record<string, object> }>
}

const h = await managed(t)
const document = (await h.ask({ url: '/openapi.json' })).json()
const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
  ([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, operation })),
)

t.test('the document is valid OpenAPI 3.1, and one of its own', async (t) => {
  const validator = new Validator()
  const { valid, errors } = await validator.validate(structuredClone(document))
  t.ok(valid, JSON.stringify(errors)?.slice(0, 1000))
  t.equal(validator.version, '3.1')
  t.equal(document.info.title, 'PolyVeil management')
  t.notOk(document.paths['/v2'])
  t.equal((await h.ask({ url: '/docs/' })).statusCode, 200)
})

t.test('every operation has a name, problems, and a schema that is used', async (t) => {
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length)
  for (const { name, operation } of operations) {
    t.ok(operation.operationId, name)
    for (const [status, { content }] of Object.entries(operation.responses)) {
      if (Number(status) >= 400) t.ok(content?.['application/problem+json'], `${name} ${status}`)
    }
  }
  const used = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)]
  t.same([...new Set(used.map(([, each]) => each))].sort(), Object.keys(document.components.schemas).sort())
})

t.test('answers have the statuses and media types that it describes', async (t) => {
  await uploadKeys(h)
  const cases = [
    ['get /livez', { url: '/livez' }],
    ['get /readyz', { url: '/readyz' }],
    ['get /status', { url: '/status' }],
    ['get /settings', { url: '/settings' }],
    ['get /metrics', { url: '/metrics' }],
    ['get /models', { url: '/models' }],
    ['get /keys', { url: '/keys' }],
    ['get /keys', { url: '/keys?limit=x' }],
    ['get /inferences', { url: '/inferences' }],
    ['put /drain', { method: 'PUT', url: '/drain' }],
    ['delete /keys/{name}', { method: 'DELETE', url: `/keys/${'0'.repeat(64)}` }],
    ['post /backup', { method: 'POST', url: '/backup', payload: { directory: 'x' } }],
  ] as const
  for (const [name, request] of cases) {
    const { statusCode, headers } = await h.ask(request)
    const described = operations.find((each) => each.name === name)?.operation.responses[statusCode]
    t.ok(described, `${name} ${statusCode}`)
    const type = String(headers['content-type'] ?? '').split(';')[0]
    t.ok(described?.content?.[type], `${name} ${statusCode} ${type}`)
  }
})
