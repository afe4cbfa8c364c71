import t from 'tap'
import { accessOf } from '../../../src/server/access/open-tenants.ts'

t.test('a service is open only where others cannot reach it, unless it is told otherwise', async (t) => {
  const cases: [host: string, trustProxy: boolean | number | string[], expected: string][] = [
    ['127.0.0.1', false, 'open'],
    ['127.1.2.3', false, 'open'],
    ['::1', false, 'open'],
    ['localhost', false, 'open'],
    ['127.0.0.1', 0, 'open'],
    ['127.0.0.1', true, 'tokens'],
    ['127.0.0.1', 1, 'tokens'],
    ['127.0.0.1', ['loopback'], 'tokens'],
    ['0.0.0.0', false, 'tokens'],
    ['::', false, 'tokens'],
    ['192.0.2.1', false, 'tokens'],
    ['service.example', false, 'tokens'],
    ['127.0.0.1.example', false, 'tokens'],
  ]
  for (const [host, trustProxy, expected] of cases) {
    t.equal(accessOf({ host, trustProxy }), expected, `${host} ${trustProxy}`)
    for (const access of ['open', 'tokens'] as const) t.equal(accessOf({ host, trustProxy, access }), access)
  }
})
