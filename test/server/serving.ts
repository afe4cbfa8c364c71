import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { writeCircuit } from '../../src/circuit/format/file.ts'
import type { Circuit } from '../../src/circuit/types.ts'
import { readConfig, type ServerOverrides } from '../../src/server/config.ts'
import { type RunningServer, startServer } from '../../src/server/start.ts'

/**
 * Serves a circuit on a complete service until the end of the test: a port, key sets on disk, and a worker
 * with the simd engine.
 */
export async function serving(
  t: Test,
  circuit: Circuit,
  overrides: ServerOverrides = {},
  directory = t.testdir(),
): Promise<RunningServer> {
  await writeFile(join(directory, `${circuit.model}.pvc`), writeCircuit(circuit))
  const config = await readConfig({
    overrides: {
      modelsDir: directory,
      dataDir: join(directory, 'data'),
      port: 0,
      threads: 1,
      maxEventLoopDelayMs: 0,
      logLevel: 'silent',
      shutdownSeconds: 1,
      ...overrides,
    },
  })
  const server = await startServer(config)
  t.teardown(() => server.close())
  return server
}
