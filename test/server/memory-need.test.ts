import { spawnSync } from 'node:child_process'
import { totalmem } from 'node:os'
import t, { type Test } from 'tap'
import { createLogger } from '../../src/server/index.ts'
import {
  availableMemory,
  memoryShortage,
  neededMegabytes,
  warnOfShortage,
} from '../../src/server/memory-need.ts'
import { canUnshare } from '../support/namespaces.ts'

const MEGABYTE = 2 ** 20

const source = (name: string): string =>
  JSON.stringify(new URL(`../../src/server/${name}`, import.meta.url).href)

t.test('the need grows with the workers and with the memory of their engines', (t) => {
  const of = (workers: number, engineMegabytes: number) => neededMegabytes({ workers, engineMegabytes })
  t.ok(of(1, 4000) > 4000)
  t.ok(of(2, 4000) > 8000)
  t.ok(of(1, 4000) < 6 * 1024, 'the default settings fit the 6 GB of docker/ and deploy/')
  // Peaks of docs/performance.md: 2.06 GB with 1.13 GB in the engine, 3.63 GB with 2.32 GB.
  t.ok(Math.abs(of(1, 1130e6 / MEGABYTE) / (2060e6 / MEGABYTE) - 1) < 0.1)
  t.ok(Math.abs(of(1, 2320e6 / MEGABYTE) / (3630e6 / MEGABYTE) - 1) < 0.1)
  t.end()
})

t.test('a shortage has the numbers, and enough memory is no shortage', (t) => {
  const settings = { workers: 2, engineMegabytes: 1000 }
  const needed = neededMegabytes(settings)
  t.equal(memoryShortage(settings, needed * MEGABYTE), undefined)
  t.equal(memoryShortage(settings, Number.POSITIVE_INFINITY), undefined)
  t.strictSame(memoryShortage(settings, (needed - 1) * MEGABYTE), {
    ...settings,
    neededMegabytes: needed,
    limitMegabytes: needed - 1,
  })
  t.end()
})

t.test('a process without a limit has the memory of the machine', (t) => {
  const machine = 2 ** 33
  for (const none of [0, 2 ** 64, Number.MAX_SAFE_INTEGER]) t.equal(availableMemory(none, machine), machine)
  t.equal(availableMemory(2 ** 31, machine), 2 ** 31)
  t.equal(availableMemory(2 ** 34, machine), machine, 'a limit beyond the machine is none')
  t.equal(availableMemory(0), totalmem())
  t.end()
})

t.test('the log has one warning of a shortage', (t) => {
  const lines: string[] = []
  const logger = createLogger('info', { write: (line) => void lines.push(line) })
  warnOfShortage({ workers: 1, engineMegabytes: 4000 }, logger, 6 * 1024 * MEGABYTE)
  t.equal(lines.length, 0)
  warnOfShortage({ workers: 4, engineMegabytes: 4000 }, logger, 6 * 1024 * MEGABYTE)
  t.equal(lines.length, 1)
  t.match(JSON.parse(lines[0]), {
    level: 40,
    workers: 4,
    engineMegabytes: 4000,
    neededMegabytes: neededMegabytes({ workers: 4, engineMegabytes: 4000 }),
    limitMegabytes: 6144,
    msg: /more memory than the container or the machine has/,
  })
  t.end()
})

t.test(
  'memory and threads follow the limits of a control group, and not the machine',
  { skip: !canUnshare() && 'this needs root on Linux, and mount namespaces' },
  (t) => {
    const program = `
      import { availableMemory } from ${source('memory-need.ts')}
      import { readConfig } from ${source('config.ts')}
      const { threads } = await readConfig({ overrides: { modelsDir: 'models' } })
      console.log(JSON.stringify({ threads, memory: String(availableMemory()) }))`
    const inGroup = (cpu: string, memory: string): object => JSON.parse(runInGroup(t, program, cpu, memory))
    t.strictSame(inGroup('100000 100000', '2147483648'), { threads: 1, memory: String(2 ** 31) })
    t.match(inGroup('50000 100000', 'max'), { threads: 1, memory: String(totalmem()) })
    t.end()
  },
)

t.test(
  'a service warns at its start that its container is too small',
  { skip: !canUnshare() && 'this needs root on Linux, and mount namespaces' },
  (t) => {
    // The service does not start, because there is no model.
    const program = `
      import { readConfig } from ${source('config.ts')}
      import { startServer } from ${source('start.ts')}
      const config = await readConfig({ overrides: { modelsDir: '/nowhere', engineMegabytes: 1000 } })
      await startServer(config).catch(() => {})`
    const [line, ...others] = runInGroup(t, program, 'max 100000', '1073741824').trim().split('\n')
    t.match(JSON.parse(line), { level: 40, engineMegabytes: 1000, limitMegabytes: 1024 })
    t.strictSame(others, [])
    t.equal(runInGroup(t, program, 'max 100000', '4294967296'), '')
    t.end()
  },
)

/**
 * Runs a program that sees the files which the kernel (cgroup v2) shows to a container with these limits.
 *
 * @returns what it wrote to standard output
 */
function runInGroup(t: Test, program: string, cpu: string, memory: string): string {
  const group = t.testdir({
    'cgroup.controllers': 'cpu memory\n',
    'cpu.max': `${cpu}\n`,
    'memory.max': `${memory}\n`,
    'memory.high': 'max\n',
    self: '0::/\n',
  })
  const script = `mount --bind "$1/self" /proc/$$/cgroup; mount --bind "$1" /sys/fs/cgroup
    exec "$2" --input-type=module --eval "$3"`
  const args = ['--mount', 'sh', '-euc', script, 'sh', group, process.execPath, program]
  const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  return stdout
}
