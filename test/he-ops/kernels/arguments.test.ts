import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { KERNEL_FIELDS, type KernelName } from '../../../src/he-ops/kernels/arguments.ts'
import { type KernelCall, kernelCalls } from '../../../src/he-ops/kernels/call.ts'
import { heap, kernels } from './fixture.ts'

const ASSEMBLY = new URL('../../../src/he-ops/kernels/assembly/', import.meta.url)

/** Parameters of every exported function of the assembly, by the name under which the module exports it. */
function parametersOfKernels(): Map<string, string[]> {
  const sources = readdirSync(ASSEMBLY).map((file) => readFileSync(new URL(file, ASSEMBLY), 'utf8'))
  const functions = new Map(
    sources.flatMap((source) =>
      [...source.matchAll(/^export function (\w+)\(([^)]*)\)/gm)].map(([, name, parameters]) => [
        name,
        [...parameters.matchAll(/(\w+): \w+/g)].map(([, parameter]) => parameter),
      ]),
    ),
  )
  const index = readFileSync(new URL('index.ts', ASSEMBLY), 'utf8')
  const names = [...index.matchAll(/export \{([^}]*)\}/g)].flatMap(([, list]) => list.split(','))
  const exported = names.flatMap((text): [string, string[]][] => {
    const [name, , alias = name] = text.trim().split(' ')
    const parameters = functions.get(name)
    return parameters ? [[alias, parameters]] : []
  })
  return new Map(exported)
}

t.test('the fields of each kernel are the parameters of its function, in order', async (t) => {
  // `random` and `fetch` are functions of the platform.
  const { random, fetch, ...compiled } = KERNEL_FIELDS
  t.strictSame(random, ['address', 'bytes'])
  t.strictSame(fetch, ['out', 'from', 'units'])
  t.strictSame(Object.fromEntries(parametersOfKernels()), compiled)
})

t.test('the compiled module has as many parameters as there are fields', async (t) => {
  for (const [name, fields] of Object.entries(KERNEL_FIELDS)) {
    t.equal(kernels[name as KernelName].length, fields.length, name)
  }
})

t.test('arguments are passed by name in any order', async (t) => {
  const call = kernelCalls(kernels)
  const [a, b, out] = [heap.allocate(16), heap.allocate(16), heap.allocate(16)]
  heap.words(a, 4).set([10, 11, 12, 13])
  heap.words(b, 4).set([1, 2, 3, 20])
  call('subtract', { q: 97, size: 4, b, a, out })
  t.strictSame([...heap.words(out, 4)], [9, 9, 9, 90])
  call('subtract', { out, a: b, b: a, size: 4, q: 97 })
  t.strictSame([...heap.words(out, 4)], [88, 88, 88, 7])
  t.equal(call('unpack', { out, source: a, bits: 8, size: 4, q: 11 }), 1, 'a result is returned')
  for (const address of [a, b, out]) heap.free(address)
})

t.test('the type checker refuses wrong arguments', async (t) => {
  const call: KernelCall = () => 0
  // @ts-expect-error a field is missing
  call('add', { out: 0, a: 0, b: 0, size: 4 })
  // @ts-expect-error a field is misspelt
  call('add', { out: 0, a: 0, b: 0, size: 4, prime: 97 })
  // @ts-expect-error a field is one of another kernel
  call('add', { out: 0, a: 0, b: 0, size: 4, q: 97, shift: 2 })
  // @ts-expect-error no kernel has this name
  call('addd', { out: 0, a: 0, b: 0, size: 4, q: 97 })
  // @ts-expect-error arguments have names
  call('add', 0, 0, 0, 4, 97)
  t.pass()
})
