import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createToken } from '../../../src/server/access/manage-tokens.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import type { ServerOverrides } from '../../../src/server/config.ts'
import { started } from '../refreshed-service.ts'

const LOCAL: ServerOverrides = { managementPort: 0 }

async function adminToken(directory: string, scope: 'admin' | 'infer' = 'admin'): Promise<string> {
  const files = new TenantFiles(join(directory, 'data'))
  return (await createToken(files, { tenant: 'operator', scopes: [scope], quota: {} })).text
}

const refused = (t: Test, overrides: ServerOverrides, directory: string, message: RegExp) =>
  t.rejects(started(t, { ...LOCAL, ...overrides }, directory), { code: 'CONFIG_INVALID', message })

t.test('by default there is no management port', async (t) => {
  const server = await started(t)
  t.equal(server.managementUrl, undefined)
  t.equal((await fetch(`${server.url}/livez`)).status, 404)
})

t.test('the management port is a port of its own, and metrics can be on it alone', async (t) => {
  const server = await started(t, { ...LOCAL, publicMetrics: 'off' })
  const url = server.managementUrl as string
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  t.not(url, server.url)
  t.equal((await fetch(`${url}/readyz`)).status, 200)
  t.match(await (await fetch(`${url}/metrics`)).text(), 'polyveil_key_sets')
  t.equal((await fetch(`${server.url}/metrics`)).status, 404)
  for (const path of ['/drain', '/status', '/keys']) {
    t.equal((await fetch(`${server.url}${path}`)).status, 404, `the public port has no ${path}`)
  }
  await server.close()
  await t.rejects(fetch(`${url}/livez`), 'it closes with the service')
})

t.test('beyond loopback addresses the port needs a token of the scope admin, or does not open', async (t) => {
  const directory = t.testdir()
  const host = { managementHost: '0.0.0.0' }
  await refused(t, host, directory, /none of the scope admin is valid/)
  await adminToken(directory, 'infer')
  await refused(t, host, directory, /none of the scope admin is valid/)
  await refused(t, { ...host, managementAccess: 'open' }, directory, /cannot be open on 0\.0\.0\.0/)
  const token = await adminToken(directory)
  const server = await started(t, { ...LOCAL, ...host }, directory)
  const { port } = new URL(server.managementUrl as string)
  const url = `http://127.0.0.1:${port}`
  t.equal((await fetch(`${url}/status`)).status, 401)
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await fetch(`${url}/status`, { headers })).status, 200)
  t.equal((await fetch(`${url}/readyz`)).status, 200, 'probes send no token')
  t.equal((await fetch(`${server.url}/v2/models`)).status, 200, 'the public port is open all the same')
})

t.test('tokens can be needed on loopback addresses, too', async (t) => {
  const directory = t.testdir()
  const token = await adminToken(directory)
  const server = await started(t, { ...LOCAL, managementAccess: 'tokens' }, directory)
  t.equal((await fetch(`${server.managementUrl}/status`)).status, 401)
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await fetch(`${server.managementUrl}/status`, { headers })).status, 200)
})

t.test('a port that is taken is an error, and the public port is closed again', async (t) => {
  const first = await started(t, LOCAL)
  const { port } = new URL(first.managementUrl as string)
  const directory = t.testdir({ other: {} })
  await refused(
    t,
    { managementPort: Number(port) },
    join(directory, 'other'),
    /a program listens there already/,
  )
  await started(t, LOCAL, join(directory, 'other'))
})

t.test('without backupDir there are no backups', async (t) => {
  const server = await started(t, LOCAL)
  const answer = await fetch(`${server.managementUrl}/backup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"directory":"x"}',
  })
  t.equal(answer.status, 409)
  t.match(await answer.json(), { code: 'CONFIG_INVALID', detail: /no setting backupDir/ })
})
