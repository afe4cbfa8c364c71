import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import t from 'tap'
import { kernelSpeeds, speedsFile } from '../../src/cli/input/speeds.ts'

t.test('kernel speeds are measured once and kept', async (t) => {
  const before = process.env.XDG_CACHE_HOME
  process.env.XDG_CACHE_HOME = t.testdir()
  t.teardown(() => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = before
  })
  const measured = await kernelSpeeds()
  for (const [kernel, seconds] of Object.entries(measured)) {
    t.ok(seconds > 1e-12 && seconds < 1e-2, `${kernel}: ${seconds} s`)
  }
  t.ok(measured.ntt > 1000 * measured.multiplyAdd, 'a transform takes as long as thousands of products')
  t.strictSame(await kernelSpeeds(), measured, 'the second call reads the file')

  t.test('a damaged file is replaced', async (t) => {
    await writeFile(speedsFile(), '{"machine":')
    t.ok((await kernelSpeeds()).ntt > 0)
    t.doesNotThrow(async () => JSON.parse(await readFile(speedsFile(), 'utf8')))
  })

  t.test('speeds of another machine are ignored', async (t) => {
    const kept = JSON.parse(await readFile(speedsFile(), 'utf8'))
    const other = { machine: 'abacus; wood', speeds: { ...kept.speeds, ntt: 0.5 } }
    await writeFile(speedsFile(), JSON.stringify(other))
    t.not((await kernelSpeeds()).ntt, 0.5)
    await writeFile(speedsFile(), JSON.stringify({ ...kept, speeds: other.speeds }))
    t.equal((await kernelSpeeds()).ntt, 0.5, 'speeds of this machine are used')
  })

  t.test('speeds are measured again when their directory cannot be written', async (t) => {
    process.env.XDG_CACHE_HOME = `${t.testdir()}/file`
    await mkdir(dirname(dirname(speedsFile())), { recursive: true })
    await writeFile(dirname(speedsFile()), 'no directory')
    t.ok((await kernelSpeeds()).ntt > 0)
  })
})
