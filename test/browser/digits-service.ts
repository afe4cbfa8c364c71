import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Service, startService } from '../cli/service.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'

/**
 * Serves the digits network to pages of some origins, until the end of the test.
 *
 * @param models whether each has refreshes, by its name; keys of one without are six times as large
 */
export async function serveDigits(
  t: Test,
  directory: string,
  models: Readonly<Record<string, 'client' | 'never'>>,
  allowedOrigins: readonly string[],
): Promise<Service> {
  const modelsDir = join(directory, 'models')
  for (const [name, refresh] of Object.entries(models)) await writeDigitsOfFewKeys(modelsDir, refresh, name)
  const config = join(directory, 'server.json')
  await writeFile(config, JSON.stringify({ modelsDir, allowedOrigins }))
  const service = await startService(join(directory, 'data'), '--config', config)
  t.teardown(() => service.stop())
  return service
}
