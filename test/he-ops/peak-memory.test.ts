import { execFileSync } from 'node:child_process'
import t from 'tap'
import { peakResidentBytes } from '../../src/he-ops/peak-memory.ts'

const MEGABYTE = 2 ** 20
const module = new URL('../../src/he-ops/peak-memory.ts', import.meta.url).href

t.test('the peak includes memory that was freed', async (t) => {
  const before = peakResidentBytes()
  let taken: Uint8Array | undefined = new Uint8Array(400 * MEGABYTE).fill(1)
  t.ok(peakResidentBytes() - before > 200 * MEGABYTE && taken.length > 0)
  taken = undefined
  t.ok(peakResidentBytes() - before > 200 * MEGABYTE)
})

t.test("the peak of a child process does not include its parent's", async (t) => {
  const large = new Uint8Array(600 * MEGABYTE).fill(1)
  const script = `import { peakResidentBytes } from ${JSON.stringify(module)}; console.log(peakResidentBytes())`
  const child = Number(execFileSync(process.execPath, ['--input-type=module', '--eval', script]))
  t.ok(
    child > 20 * MEGABYTE && child < 400 * MEGABYTE,
    `${child} bytes, and the parent has ${large.length} more`,
  )
})
