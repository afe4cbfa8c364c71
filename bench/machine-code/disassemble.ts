import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Instruction {
  readonly address: number
  readonly mnemonic: string
  readonly operands: string
}

const OPTIONS = ['-D', '-b', 'binary', '-m', 'i386:x86-64', '-M', 'intel', '--no-show-raw-insn']

/** The x86-64 instructions of a function. */
export async function disassemble(code: Uint8Array): Promise<Instruction[]> {
  const directory = await mkdtemp(join(tmpdir(), 'polyveil-code-'))
  try {
    const file = join(directory, 'code')
    await writeFile(file, code)
    const { stdout } = await promisify(execFile)('objdump', [...OPTIONS, file], { maxBuffer: 2 ** 26 })
    return [...stdout.matchAll(/^\s*([0-9a-f]+):\s+(\S+)[ \t]*(.*)$/gm)].map(
      ([, address, mnemonic, operands]) => ({ address: Number.parseInt(address, 16), mnemonic, operands }),
    )
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
