import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { writeCircuit } from '../../src/circuit/format/file.ts'
import { circuit } from './support.ts'

t.test('SIGHUP while a service starts does not end it', { skip: process.platform === 'win32' }, async (t) => {
  const directory = t.testdir({ 'small.pvc': Buffer.from(writeCircuit(circuit)) })
  const server = new URL('../../src/server/index.ts', import.meta.url)
  const settings = { modelsDir: directory, dataDir: join(directory, 'data'), port: 0, logLevel: 'silent' }
  const program = `
    const { readConfig, serve } = await import(${JSON.stringify(server.href)})
    const starting = serve(await readConfig({ overrides: ${JSON.stringify(settings)} }))
    process.kill(process.pid, 'SIGHUP')
    const { url, close } = await starting
    const { status } = await fetch(url + '/v2/health/live')
    await close()
    console.log(status)`
  const { status, stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  })
  t.strictSame({ status, signal, stdout }, { status: 0, signal: null, stdout: '200\n' })
})
