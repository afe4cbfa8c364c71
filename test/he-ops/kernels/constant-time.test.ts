import { readFile } from 'node:fs/promises'
import binaryen from 'binaryen'
import t from 'tap'

// The time of a client's reply must not depend on the secret integers in it. These kernels have no
// instruction that turns a vector into a scalar. Residues that are read as vectors therefore decide no
// branch, address or number of steps. `pack` and `unpackNoted` read single residues, but branch only on
// counts of bits.

/**
 * The kernels of a reply, and the number of places where each reads a scalar: a term of a table, a root or a
 * residue. For a new place, check that no branch depends on the scalar.
 */
const SCALAR_LOADS = {
  binomial: 0,
  copy: 0,
  dot: 5,
  exactQuotients: 2,
  nttForward: 3,
  nttInverse: 4,
  pack: 1,
  scale: 0,
  unpackNoted: 1,
}
const TO_SCALAR = /any_true|all_true|bitmask|extract_lane/g

const url = new URL('../../../src/he-ops/kernels/build/kernels-shared.wasm', import.meta.url)
const module = binaryen.readBinary(new Uint8Array(await readFile(url)))
module.setFeatures(binaryen.Features.All)
const text = module.emitText()
const functions = new Map(
  text
    .split(/\n (?=\(func )/)
    .slice(1)
    .map((body) => [/^\(func (\S+)/.exec(body)?.[1] ?? '', body] as const),
)
const exported = new Map(
  [...text.matchAll(/\(export "(\w+)" \(func (\S+)\)\)/g)].map(([, name, id]) => [name, id] as const),
)

const countOf = (pattern: RegExp, body: string): number => body.match(pattern)?.length ?? 0

/** The text of a kernel and of all functions that it calls. */
function withCalls(id: string, seen = new Set<string>()): string {
  if (seen.has(id)) return ''
  seen.add(id)
  const body = functions.get(id)
  if (body === undefined) throw new Error(`There is no function ${id}`)
  const called = [...body.matchAll(/\(call (\S+)/g)].map(([, callee]) => withCalls(callee, seen))
  return [body, ...called].join('\n')
}

t.test('in kernels of a reply no vector decides a branch or an address', async (t) => {
  for (const [kernel, loads] of Object.entries(SCALAR_LOADS)) {
    const body = withCalls(exported.get(kernel) ?? '')
    t.equal(countOf(TO_SCALAR, body), 0, `${kernel} turns no vector into a scalar`)
    t.equal(countOf(/\(i(32|64)\.load/g, functions.get(exported.get(kernel) ?? '') ?? ''), loads, kernel)
  }
})

t.test('messages are reduced by one loop that has no branch inside', async (t) => {
  const body = withCalls(exported.get('reduceMessage') ?? '')
  t.equal(countOf(/\((if|br_if|br_table|select|call)\b/g, body), 1, 'the end of the loop')
  t.equal(countOf(/\(loop\b/g, body), 1)
  const branching = withCalls(exported.get('reduceDoubles') ?? '')
  t.ok(countOf(/\((if|br_if|br_table|select|call)\b/g, branching) > 1, 'positive control')
})

t.test('positive control: rejection sampling turns vectors into scalars', async (t) => {
  t.ok(countOf(TO_SCALAR, withCalls(exported.get('ternary') ?? '')) > 0)
})
