import type { Instruction } from './disassemble.ts'

/** An innermost loop, as the compiler unrolled it. */
export interface Loop {
  readonly body: readonly Instruction[]
  readonly vector: readonly Instruction[]
  /** 16-byte vectors stored to memory and loaded from it, without those on the stack. */
  readonly stores: number
  readonly loads: number
  /** Products of two pairs of 32-bit lanes to 64 bits, and of four lanes to their low 32 bits. */
  readonly wideProducts: number
  readonly narrowProducts: number
}

/** V8 aligns the heads of loops. Jumps back to other addresses come from code that was moved out of line. */
const ALIGNMENT = 64

export function loopsOf(code: readonly Instruction[]): Loop[] {
  const indexAt = new Map(code.map(({ address }, index) => [address, index]))
  const ends = new Map<number, number[]>()
  code.forEach(({ address, mnemonic, operands }, index) => {
    const target = mnemonic.startsWith('j') ? Number.parseInt(operands, 16) : Number.NaN
    if (!(target < address) || target % ALIGNMENT !== 0 || !indexAt.has(target)) return
    const head = indexAt.get(target)!
    ends.set(head, [...(ends.get(head) ?? []), index])
  })
  const heads = [...ends.keys()]
  return heads.flatMap((head) => {
    const innermost = ends.get(head)!.filter((end) => !heads.some((other) => other > head && other <= end))
    return innermost.length === 0 ? [] : [loopOf(code.slice(head, Math.max(...innermost) + 1))]
  })
}

function loopOf(body: readonly Instruction[]): Loop {
  const vector = body.filter(({ mnemonic }) => mnemonic.startsWith('v'))
  const moves = vector.filter(({ mnemonic, operands }) => /^vmov/.test(mnemonic) && !/rbp|rsp/.test(operands))
  const count = (mnemonic: string): number =>
    body.filter((instruction) => instruction.mnemonic === mnemonic).length
  return {
    body,
    vector,
    stores: moves.filter(({ operands }) => operands.startsWith('XMMWORD PTR')).length,
    loads: moves.filter(({ operands }) => /,XMMWORD PTR/.test(operands)).length,
    wideProducts: count('vpmuludq'),
    narrowProducts: count('vpmulld'),
  }
}
