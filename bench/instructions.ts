import { type Benchmark, check, figure } from './harness.ts'
import { disassemble, type Instruction } from './machine-code/disassemble.ts'
import { optimisedFunctions } from './machine-code/jit-dump.ts'
import { type Loop, loopsOf } from './machine-code/loops.ts'

/** Identifies the main loop of a kernel, and counts the residues of one iteration. */
interface Hot {
  readonly kernel: string
  readonly what: string
  isHot(loop: Loop): boolean
  residues(loop: Loop): number
}

const storing = (kernel: string, what: string, productsPerStore: number): Hot => ({
  kernel,
  what,
  isHot: ({ stores, wideProducts }) => stores > 0 && wideProducts === productsPerStore * stores,
  residues: ({ stores }) => 4 * stores,
})
const accumulating = (what: string, loadsPerProduct: number): Hot => ({
  kernel: 'dot',
  what,
  isHot: ({ stores, loads, wideProducts }) => stores === 0 && loads === loadsPerProduct * wideProducts,
  residues: ({ wideProducts }) => 2 * wideProducts,
})

const HOT: readonly Hot[] = [
  storing('add', 'residue', 0),
  storing('subtract', 'residue', 0),
  { ...storing('addBlocks', 'residue', 0), isHot: ({ stores, loads }) => stores > 0 && loads === stores },
  storing('scale', 'residue', 2),
  storing('reduce', 'residue', 0),
  storing('subtractScale', 'residue', 2),
  storing('permute', 'residue', 0),
  {
    kernel: 'multiplyPairs',
    what: 'residue of all three polynomials',
    isHot: ({ stores, wideProducts }) => stores > 0 && wideProducts > 0,
    residues: ({ stores }) => (4 * stores) / 3,
  },
  // Four vectors make the four outputs of two stages. The stages within registers also load roots for each
  // vector.
  { ...storing('nttForward', 'residue and two stages', 2), isHot: (loop) => isPair(loop, 4, 4) },
  { ...storing('nttForward', 'residue, the last two stages', 2), isHot: (loop) => isPair(loop, 2, 4) },
  { ...storing('nttInverse', 'residue and two stages', 2), isHot: (loop) => isPair(loop, 4, 4) },
  { ...storing('nttInverse', 'residue, the first two stages', 2), isHot: (loop) => isPair(loop, 2, 4) },
  accumulating('product, a weight for each block', 0.5),
  accumulating('product, a weight for each residue', 1),
]

const isPair = (loop: Loop, stores: number, loads: number): boolean =>
  loop.stores === stores && loop.loads === loads && loop.wideProducts === 2 * stores

/**
 * Instructions in the inner loops of the kernels, counted in the machine code that V8 generates. Needs
 * `objdump` of GNU binutils.
 */
export const instructions: Benchmark = {
  name: 'instructions',
  what: 'instructions of the kernels’ inner loops, from the machine code (needs objdump)',
  async run(say) {
    const functions = await optimisedFunctions()
    const loops = new Map<string, readonly Loop[]>()
    for (const { name, code } of functions) loops.set(name, loopsOf(await disassemble(code)))
    const rows = HOT.map(({ kernel, what, isHot, residues }) => {
      const found = loops.get(kernel)?.filter(isHot) ?? []
      check(found.length === 1, `one loop of ${kernel} is that of a ${what}; ${found.length} are`)
      const [loop] = found
      const count = residues(loop)
      const each = (list: readonly Instruction[]): number => figure(list.length / count)
      const row = {
        kernel,
        each: what,
        instructions: each(loop.body),
        vectorInstructions: each(loop.vector),
        ofThemProducts: figure((loop.wideProducts + loop.narrowProducts) / count),
        loadBytes: figure((16 * loop.loads) / count),
      }
      say(`${kernel}: ${row.instructions} instructions for each ${what}`)
      return row
    })
    return { node: process.version, rows }
  },
}
