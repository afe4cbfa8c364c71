import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { KERNEL_MODULES } from '../../scripts/building/paths.ts'
import { kernelModule } from '../../src/he-ops/kernels/kernels.ts'

/** A kernel as translated by V8's optimising compiler. */
export interface CompiledFunction {
  readonly name: string
  readonly code: Uint8Array
}

/**
 * These flags make the optimising compiler translate everything at once, and write it to a file in `perf`'s
 * jitdump format.
 */
const FLAGS = ['--perf-prof', '--no-liftoff', '--no-wasm-lazy-compilation']
const SCRIPT = `import { readFileSync } from 'node:fs'
const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
new WebAssembly.Instance(new WebAssembly.Module(readFileSync(process.argv[2])), { env: { memory } })
`

/** The machine code of all exported kernels. */
export async function optimisedFunctions(): Promise<CompiledFunction[]> {
  const directory = await mkdtemp(join(tmpdir(), 'polyveil-jit-'))
  try {
    const script = join(directory, 'compile.mjs')
    await writeFile(script, SCRIPT)
    await promisify(execFile)(process.execPath, [...FLAGS, script, KERNEL_MODULES.shared], { cwd: directory })
    const dump = (await readdir(directory)).find((name) => name.endsWith('.dump'))
    if (dump === undefined) throw new Error('Node wrote no machine code; --perf-prof is for Linux alone')
    const codes = codeOf(await readFile(join(directory, dump)))
    return [...(await exportedFunctions())].flatMap(([name, index]) => {
      const code = codes.get(index)
      return code === undefined ? [] : [{ name, code }]
    })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

// Sizes of the format are in tools/perf/Documentation/jitdump-specification.txt of the Linux kernel.
const RECORD_HEADER = 16
const CODE_HEADER = 40
const CODE_LOAD = 0

/** Machine code by the function's index in the module. */
function codeOf(dump: Buffer): Map<number, Uint8Array> {
  const codes = new Map<number, Uint8Array>()
  let at = dump.readUInt32LE(8)
  while (at < dump.length) {
    const kind = dump.readUInt32LE(at)
    const size = dump.readUInt32LE(at + 4)
    if (kind === CODE_LOAD) {
      const codeSize = Number(dump.readBigUInt64LE(at + RECORD_HEADER + 24))
      const nameStart = at + RECORD_HEADER + CODE_HEADER
      const nameEnd = dump.indexOf(0, nameStart)
      const name = dump.toString('latin1', nameStart, nameEnd)
      const index = /wasm-function\[(\d+)\].*turbofan/.exec(name)?.[1]
      if (index !== undefined) {
        codes.set(Number(index), dump.subarray(nameEnd + 1, nameEnd + 1 + codeSize))
      }
    }
    at += size
  }
  return codes
}

/**
 * The index of each exported function. The module has no imported functions, so the `name` of a function is
 * its index.
 */
async function exportedFunctions(): Promise<Map<string, number>> {
  const module = await kernelModule()
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } })
  return new Map(
    Object.entries(exports)
      .filter(([, value]) => typeof value === 'function')
      .map(([name, value]) => [name, Number((value as { name: string }).name)]),
  )
}
