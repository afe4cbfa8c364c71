import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Service, startService } from '../cli/service.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'

/** Serves the digits network in one shot to pages of some origins, until the end of the test. */
export async function serveDigits(t: Test, directory: string, ...origins: string[]): Promise<Service> {
  const modelsDir = join(directory, 'models')
  await writeDigitsOfFewKeys(modelsDir, 'never')
  const config = join(directory, 'server.json')
  await writeFile(config, JSON.stringify({ modelsDir, allowedOrigins: origins }))
  const service = await startService(join(directory, 'data'), '--config', config)
  t.teardown(() => service.stop())
  return service
}
