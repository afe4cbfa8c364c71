import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DIST } from '../../scripts/building/paths.ts'
import { requireBuild } from '../support/built.ts'
import { findFirefox, launchFirefox } from './firefox.ts'
import { type Folder, servePages } from './pages.ts'

// Threads of a Web Worker in Firefox, which frees Workers that nothing but their own listeners refers to.

const executable = findFirefox()
const skip = executable === undefined && 'There is no Firefox: install firefox-esr, or name one in FIREFOX'

const ISOLATED = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
}

const PAGE = `<!doctype html><script type="module">
const worker = new Worker('./worker.js', { type: 'module' })
globalThis.worker = worker
globalThis.done = 0
worker.onmessage = ({ data }) => { globalThis.done = data }
worker.onerror = ({ message }) => { globalThis.done = message }
</script>`

const CREWS = 12

/**
 * The Worker starts crews of one thread, four a second, and makes garbage meanwhile. Each crew runs three
 * shares, which wait at their barriers for 1.5 s.
 */
const WORKER = `
import { createKernelMemory, kernelModule } from '/dist/he-ops/kernels/kernels.js'
import { piecesFor } from '/dist/he-ops/simd/program/program.js'
import { Barrier } from '/dist/he-ops/simd/threads/barrier.js'
import { webCrew } from '/dist/he-ops/simd/threads/web-crew.js'

const program = { threads: 2, progress: [1] }
const range = { from: 0, to: 1 }
const garbage = []
let done = 0

const runShare = (crew) => {
  const barrier = new Barrier(2).shared
  // No piece is left to take.
  const claims = new Int32Array(new SharedArrayBuffer(4 * piecesFor(2))).fill(1).buffer
  endLater(barrier)
  return crew.run({ program, barrier, claims, thread: 1, range }, new AbortController().signal)
}

const endLater = (barrier) => setTimeout(() => new Barrier(2, barrier).fail(), 1500)

async function runCrew(module) {
  const crew = webCrew({ memory: createKernelMemory('shared', 1024), module }, 1)
  for (let i = 0; i < 3; i++) await runShare(crew)
  await crew.close()
  done++
}

function makeGarbage() {
  for (let i = 0; i < 4; i++) garbage.push(new Uint8Array(2 ** 23).fill(1))
  if (garbage.length > 8) garbage.length = 0
  for (let i = 0; i < 20_000; i++) ({ a: [i] })
  postMessage(done)
}

const module = await kernelModule()
setInterval(makeGarbage, 100)
for (let i = 1; i <= ${CREWS}; i++) setTimeout(() => void runCrew(module), 250 * i)
`

t.test('threads answer their shares, although nothing else refers to them', { skip }, async (t) => {
  await requireBuild()
  const directory = t.testdir()
  await writeFile(join(directory, 'index.html'), PAGE)
  await writeFile(join(directory, 'worker.js'), WORKER)
  const folders: Folder[] = [
    ['/dist/', DIST, ISOLATED],
    ['/', directory, ISOLATED],
  ]
  const port = await servePages(t as Test, folders)
  const page = await launchFirefox(t as Test, executable!)
  await page.goto(`http://127.0.0.1:${port}/index.html`)
  t.equal(await page.evaluate(doneWithin(30_000)), CREWS)
})

/** The number of crews that have run their shares, as soon as all have, or after a time. */
const doneWithin = (milliseconds: number): string => `new Promise((resolve) => {
  const begun = performance.now()
  const look = () => {
    const isOver = performance.now() - begun > ${milliseconds}
    if (done === ${CREWS} || typeof done === 'string' || isOver) resolve(done)
    else setTimeout(look, 50)
  }
  look()
})`
