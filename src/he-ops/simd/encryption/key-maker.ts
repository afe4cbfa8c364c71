import { type CkksParameters, digitCount, digitRange } from '../../../circuit/parameters.ts'
import { bitLength } from '../../../circuit/primes.ts'
import { type KeySetMaker, type PackedRlwe, type Polynomial, packedBytes } from '../../../wire/index.ts'
import { createKernelMemory, instantiateKernels } from '../../kernels/kernels.ts'
import { createSimdContext, type SimdContext } from '../context.ts'
import { Heap } from '../heap.ts'
import { type SecretTables, secretTables } from './secret.ts'
import { type Addend, ZeroEncryptor } from './zero-encryptor.ts'
import { createZeroSource, type ZeroSource } from './zeros.ts'

/**
 * Makes a client's keys with the kernels: the same as node-seal's (`seal/keys-switching.ts` says what they are), from
 * encryptions of zero that `ZeroEncryptor` makes. Holds residues of the secret key until `delete`.
 */
export interface KernelKeyMaker extends KeySetMaker {
  publicKey(): PackedRlwe
  relinKey(): PackedRlwe[]
  galoisKey(element: number): PackedRlwe[]
  delete(): void
}

export interface KernelKeyMakerOptions {
  /** To work in: unused before, all zero after `delete`. */
  readonly memory?: WebAssembly.Memory
  /** Deleted with the maker. */
  readonly zeros?: ZeroSource
}

/**
 * @param parameters primes below 2^30
 * @param secret the secret key's residues modulo all primes; read now, not kept
 * @throws CONFIG_INVALID when a prime is too large for the kernels
 */
export async function createKernelKeyMaker(
  parameters: CkksParameters,
  secret: Polynomial,
  { memory = createKernelMemory('unshared'), zeros }: KernelKeyMakerOptions = {},
): Promise<KernelKeyMaker> {
  const context = createSimdContext(await instantiateKernels(memory), new Heap(memory), parameters)
  const source = zeros ?? (await createZeroSource(parameters, secret))
  try {
    return new KeyMaker(context, source, secretTables(context, secret))
  } catch (error) {
    source.delete()
    wipe(memory)
    throw error
  }
}

const wipe = ({ buffer }: WebAssembly.Memory): unknown => new Uint8Array(buffer).fill(0)

class KeyMaker implements KernelKeyMaker {
  readonly #context: SimdContext
  readonly #zeros: ZeroSource
  readonly #secret: SecretTables
  readonly #encryptor: ZeroEncryptor
  /** P * sigma(s) modulo the data primes, for the Galois key that is being made. */
  readonly #rotated: number
  readonly #packed: number

  constructor(context: SimdContext, zeros: ZeroSource, secret: SecretTables) {
    const { heap, limbBytes, parameters } = context
    this.#context = context
    this.#zeros = zeros
    this.#secret = secret
    this.#encryptor = new ZeroEncryptor(context, zeros, secret.negated)
    this.#rotated = heap.allocate(parameters.primes.length * limbBytes)
    this.#packed = heap.allocate(limbBytes)
  }

  publicKey(): PackedRlwe {
    return this.#pair(() => undefined)
  }

  relinKey(): PackedRlwe[] {
    return this.#switchingKey(this.#secret.square)
  }

  galoisKey(element: number): PackedRlwe[] {
    const { galois, kernels, limbBytes, parameters, ring } = this.#context
    const table = galois.table(element)
    for (let i = 0; i < parameters.primes.length; i++) {
      const at = i * limbBytes
      kernels.permute(this.#rotated + at, this.#secret.scaled + at, table, galois.patterns, ring)
    }
    return this.#switchingKey(this.#rotated)
  }

  delete(): void {
    this.#zeros.delete()
    wipe(this.#context.heap.memory)
  }

  /** @param target address of P * s' modulo the data primes, in NTT form */
  #switchingKey(target: number): PackedRlwe[] {
    const { limbBytes, parameters } = this.#context
    return Array.from({ length: digitCount(parameters) }, (_, digit) => {
      const { start, end } = digitRange(parameters, digit)
      return this.#pair((i) => (i >= start && i < end ? target + i * limbBytes : undefined))
    })
  }

  #pair(addend: Addend): PackedRlwe {
    const { moduli } = this.#context
    const limbs: PackedRlwe['limbs'][number][] = []
    const seed = this.#encryptor.encrypt(moduli.length, addend, (i, c0) => limbs.push(this.#pack(i, c0)))
    return { limbs, seed }
  }

  #pack(i: number, residues: number): PackedRlwe['limbs'][number] {
    const { heap, kernels, moduli, ring } = this.#context
    const { prime } = moduli[i]
    const bits = bitLength(prime)
    kernels.pack(this.#packed, residues, bits, ring)
    return { prime, bits, bytes: heap.bytes(this.#packed, packedBytes(ring, bits)).slice() }
  }
}
