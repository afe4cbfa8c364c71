import { execFile } from 'node:child_process'
import { closeSync, ftruncateSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { heapMegabytesFor } from '../../src/cli/heap.ts'
import { failed, polyveil } from './support.ts'

const GIGABYTE = 2 ** 30
const run = promisify(execFile)
const heap = fileURLToPath(new URL('../../src/cli/heap.ts', import.meta.url))
const directory = t.testdir()

t.test('a large checkpoint needs more heap than the default, a small one does not', async (t) => {
  const machine = { limit: 2 * GIGABYTE, memory: 8 * GIGABYTE }
  const large = 226_848_433
  t.equal(heapMegabytesFor(100e6, machine), undefined)
  t.equal(heapMegabytesFor(large, machine), Math.ceil((large * 14) / 2 ** 20))
  t.equal(heapMegabytesFor(large, { limit: 4 * GIGABYTE, memory: 16 * GIGABYTE }), undefined)
  t.equal(
    heapMegabytesFor(10 * GIGABYTE, machine),
    Math.ceil(0.6 * 8 * 1024),
    'the heap fits the memory of the machine',
  )
  t.equal(heapMegabytesFor(10 * GIGABYTE, { ...machine, memory: 3 * GIGABYTE }), undefined)
})

/** A process that starts another one with more heap. */
function outer(inner: string, ...options: string[]): Promise<{ stdout: string }> {
  const script = join(directory, 'outer.ts')
  const arguments_ = JSON.stringify(['-e', inner])
  writeFileSync(
    script,
    `import { runAgain } from ${JSON.stringify(heap)}\nprocess.exitCode = await runAgain(333, ${arguments_})\n`,
  )
  return run(process.execPath, [...options, script])
}

t.test('the second process has the heap, the same streams, and passes on its exit code', async (t) => {
  const limit = 'console.log(require("v8").getHeapStatistics().heap_size_limit / 2 ** 20)'
  const { stdout } = await outer(limit)
  const megabytes = Number(stdout)
  t.ok(megabytes >= 333 && megabytes < 600, `${megabytes} MB`)
  await t.rejects(outer('process.exit(5)'), { code: 5 })
  await t.rejects(outer('process.kill(process.pid, "SIGKILL")'), { code: 137 })
})

t.test('compile starts again with more heap for a large checkpoint, and prints one document', async (t) => {
  const path = join(directory, 'large.safetensors')
  const file = openSync(path, 'w')
  // The file is sparse, and nothing reads it.
  ftruncateSync(file, 300 * GIGABYTE)
  closeSync(file)
  const ran = await polyveil(['compile', path, '--arch', 'cpolynext-t', '--dry-run', '--json', '--quiet'])
  failed(t, ran, 3, 'TOO_LARGE')
})
