import type { FullRlwe } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { convert } from '../operations/convert.ts'
import type { Item, ProgramBuilder } from '../program.ts'
import { type LinkedProgram, linkProgram, runProgram } from '../run.ts'

/**
 * The client's half of a refresh: decrypts masked ciphertexts to integers and writes these modulo all data primes, exactly.
 * The integers must lie within a quarter of the refresh level's modulus of zero, which masks see to; then the base
 * extension's quotients are right whatever single precision makes of them.
 */
export class Lifter {
  readonly #context: SimdContext
  /** Primes of the refresh level. */
  readonly #primes: number
  /** Both polynomials of the ciphertext at hand. */
  readonly #c0: number
  readonly #c1: number
  /** The secret key's residues modulo the refresh level's primes, in Montgomery form. */
  readonly #secret: number
  readonly #out: number
  readonly #program: LinkedProgram

  /**
   * @param secret residues of the secret key in NTT form modulo the data primes, N for each; not kept, but copied to
   *   kernel memory until `free`
   * @param level the refresh level
   */
  constructor(context: SimdContext, secret: Uint32Array, level: number) {
    const { heap, kernels, limbBytes, moduli, ring } = context
    this.#context = context
    this.#primes = level + 1
    this.#c0 = heap.allocate(limbBytes * this.#primes)
    this.#c1 = heap.allocate(limbBytes * this.#primes)
    this.#secret = heap.allocate(limbBytes * this.#primes)
    this.#out = heap.allocate(limbBytes * context.parameters.primes.length)
    heap.words(this.#secret, ring * this.#primes).set(secret.subarray(0, ring * this.#primes))
    for (let i = 0; i < this.#primes; i++) {
      const at = this.#secret + i * limbBytes
      const { q, montgomery } = moduli[i]
      kernels.scale(at, at, 0, montgomery.w, montgomery.quotient, ring, q)
    }
    this.#program = linkProgram(context, 1, limbBytes, (builder) => this.#emit(builder))
  }

  /**
   * @param ciphertext at the refresh level, residues checked
   * @returns the integers' residues modulo all data primes, in NTT form, N for each
   */
  lift({ c0, c1 }: FullRlwe): Uint32Array {
    const { heap, ring, parameters } = this.#context
    copyLowHalves(c0, heap.words(this.#c0, ring * this.#primes))
    copyLowHalves(c1, heap.words(this.#c1, ring * this.#primes))
    runProgram(this.#program.program, this.#context)
    return heap.words(this.#out, ring * parameters.primes.length).slice()
  }

  free(): void {
    const { heap, ring } = this.#context
    heap.words(this.#secret, ring * this.#primes).fill(0)
    for (const address of [this.#c0, this.#c1, this.#secret, this.#out]) heap.free(address)
    this.#program.free()
  }

  #emit(builder: ProgramBuilder): void {
    const { limbBytes, ring, moduli, parameters } = this.#context
    const indices = Array.from({ length: this.#primes }, (_, i) => i)
    const conversion = this.#context.conversion(indices, true)
    const temporary = builder.allocate(limbBytes * (this.#primes + 1))
    const decrypt = indices.map(
      (i): Item =>
        (call) => {
          const { q, inverse, chunk } = moduli[i]
          const at = i * limbBytes
          const terms = builder.table([this.#c1 + at, this.#secret + at])
          call('dot', this.#out + at, 0, 0, terms, 1, 0, ring, q, inverse, chunk, 0)
          call('add', this.#out + at, this.#out + at, this.#c0 + at, ring, q)
          convert.source(call, this.#context, conversion, i, this.#out + at, temporary + at)
        },
    )
    builder.phase(decrypt)
    if (conversion.needsQuotients) {
      builder.phase([(call) => convert.quotients(call, this.#context, conversion, temporary)])
    }
    const terms = convert.termsWriter(builder, this.#context, conversion, temporary)
    const above = parameters.primes.map((_, i) => i).slice(this.#primes)
    builder.phase(
      above.map(
        (i): Item =>
          (call) => {
            convert.target(call, this.#context, conversion, i, terms(i), this.#out + i * limbBytes)
          },
      ),
    )
    builder.free(temporary)
  }
}

/** Residues of less than 32 bits from pairs of halves. */
function copyLowHalves(halves: Uint32Array, words: Uint32Array): void {
  for (let i = 0; i < words.length; i++) words[i] = halves[2 * i]
}
