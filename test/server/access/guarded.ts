import type { InjectOptions } from 'fastify'
import type { Test } from 'tap'
import { createToken } from '../../../src/server/access/manage-tokens.ts'
import type { Quota, Scope } from '../../../src/server/access/tenant.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import { Tenants } from '../../../src/server/access/tenants.ts'
import { tokenParts } from '../../../src/server/access/token.ts'
import { parameters } from '../../circuit/circuits.ts'
import { elements, type Harness, type HarnessOptions, harness, keyBytes, patterned } from '../support.ts'

/** The secret of a token, which may have underscores. */
export const secretOf = (token: string): string => tokenParts(token)!.secret

export interface Wanted {
  readonly tenant: string
  readonly scopes?: readonly Scope[]
  readonly quota?: Quota
}

/** A service with tokens, and a token for each of the wanted ones. */
export async function guarded(
  t: Test,
  wanted: readonly Wanted[],
  options: HarnessOptions = {},
): Promise<{ h: Harness; tokens: string[]; tenants: Tenants; files: TenantFiles }> {
  const files = new TenantFiles(t.testdir({}))
  const tokens: string[] = []
  for (const { tenant, scopes = ['infer'] as const, quota = {} } of wanted) {
    tokens.push((await createToken(files, { tenant, scopes, quota })).text)
  }
  const tenants = new Tenants(files, { info() {}, warn() {} })
  await tenants.refresh()
  return { h: await harness(t, { ...options, tenants }), tokens, tenants, files }
}

export const as = (token: string, request: InjectOptions): InjectOptions => ({
  ...request,
  headers: { ...request.headers, authorization: `Bearer ${token}` },
})

/** Announces and uploads a key set. @returns its id */
export async function upload(h: Harness, token: string): Promise<string> {
  const payload = { parametersDigest: parameters.digest, bytes: keyBytes, galoisElements: elements }
  const announced = await h.inject(as(token, { method: 'POST', url: '/v2/keys', payload }))
  const { id } = announced.json()
  const bytes = patterned(keyBytes)
  for (let offset = 0; offset < keyBytes; offset += 8 << 20) {
    const part = Buffer.from(bytes.subarray(offset, offset + (8 << 20)))
    const headers = {
      'content-type': 'application/octet-stream',
      'upload-offset': String(offset),
      'polyveil-key-set': id,
    }
    const answer = await h.inject(as(token, { method: 'PUT', url: '/v2/keys', headers, payload: part }))
    if (answer.statusCode !== 200) throw new Error(answer.body)
  }
  return id
}

/** The lines of the audit log. */
export const audits = (h: Harness): Record<string, unknown>[] =>
  h
    .log()
    .split('\n')
    .filter((line) => line.includes('"audit"'))
    .map((line) => JSON.parse(line))
