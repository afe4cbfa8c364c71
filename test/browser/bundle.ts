import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'vite'

const PAGE = '<!doctype html><script type="module" src="./main.js"></script>'

/** A page with the client as the global `polyveil`, and a function that starts a Worker of its own. */
const MAIN = `import * as polyveil from 'polyveil/client'
const startWorker = () => new Worker(new URL('./own-worker.js', import.meta.url), { type: 'module' })
Object.assign(globalThis, { polyveil, startWorker })
`
/**
 * The Worker answers a message of its own with the policy's directives that it violated and the number of
 * Workers that it started, ends, or refuses memories whose maximum is larger than it is told.
 */
const OWN_WORKER = `import 'polyveil/client/worker'
const violated = []
addEventListener('securitypolicyviolation', (event) => violated.push(event.effectiveDirective))
addEventListener('message', ({ data }) => {
  if (data === 'end') close()
  if (data?.mostBytes !== undefined) limitMemory(data.mostBytes)
  if (data === 'report') postMessage({ violated, started })
})
function limitMemory(bytes) {
  const { Memory } = WebAssembly
  WebAssembly.Memory = function (descriptor) {
    if (descriptor.maximum * 65536 > bytes) throw new RangeError('WebAssembly.Memory(): no room')
    return new Memory(descriptor)
  }
}
let started = 0
const Native = Worker
globalThis.Worker = class extends Native {
  constructor(...args) {
    super(...args)
    started++
  }
}
`

/**
 * Bundles a page with Vite. Its addresses are relative. @param root a project @returns the bundle's directory
 */
export async function bundlePage(root: string): Promise<string> {
  await writeFile(join(root, 'index.html'), PAGE)
  await writeFile(join(root, 'main.js'), MAIN)
  await writeFile(join(root, 'own-worker.js'), OWN_WORKER)
  await build({ root, base: './', logLevel: 'error', configFile: false, worker: { format: 'es' } })
  return join(root, 'dist/')
}
