import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { readConfig, type ServerOverrides } from '../../../src/server/config.ts'
import { buildManagement } from '../../../src/server/management/app.ts'
import type { ManagementOptions } from '../../../src/server/management/options.ts'
import { createLogger } from '../../../src/server/plugins/logging.ts'
import type { App } from '../../../src/server/services.ts'
import { type Harness, type HarnessOptions, harness } from '../support.ts'

/** A service without encryption, and its management app. */
export interface Managed extends Harness {
  readonly management: App
  /** Sends a request to the management app. */
  readonly ask: (options: InjectOptions) => Promise<LightMyRequestResponse>
}

type Options = HarnessOptions &
  Partial<Pick<ManagementOptions, 'backups' | 'lookForModels'>> & {
    readonly settings?: ServerOverrides
    /** Whose tokens open the management app. */
    readonly admins?: ManagementOptions['tenants']
  }

export async function managed(test: Test = t as Test, options: Options = {}): Promise<Managed> {
  const h = await harness(test, options)
  const management = await buildManagement({
    config: await readConfig({ overrides: { modelsDir: 'models', ...options.settings } }),
    services: h.app.services,
    lookForModels: options.lookForModels ?? (async () => {}),
    backups: options.backups,
    tenants: options.admins,
    logger: createLogger('silent'),
  })
  test.teardown(() => management.close())
  await management.ready()
  const ask = (request: InjectOptions) =>
    management.inject({ ...request, headers: { host: '127.0.0.1:9090', ...request.headers } })
  return { ...h, management, ask }
}
