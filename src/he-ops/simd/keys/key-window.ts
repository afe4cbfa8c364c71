import { digitSize } from '../../../circuit/parameters/parameters.ts'
import { switchingKeyBytes } from '../../../schedule/key-memory.ts'
import type { SimdContext } from '../context.ts'
import { farCopy } from '../program/far-copy.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { limbsOf } from '../values/values.ts'
import { keyLayout } from './key-layout.ts'
import type { SwitchingKey } from './switching-key.ts'

/**
 * The kernel memory through which a program reads the keys that are in far memory, one after the other. It
 * belongs to the program.
 */
export class KeyWindow {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  readonly #memory: number | undefined
  /** The far key that was copied last, and its copy. */
  #held: { readonly key: SwitchingKey; readonly copy: SwitchingKey } | undefined

  /** @param keys that the program reads */
  constructor(builder: ProgramBuilder, context: SimdContext, keys: readonly SwitchingKey[]) {
    this.#builder = builder
    this.#context = context
    const sizes = keys
      .filter(({ isFar }) => isFar)
      .map(({ level }) => switchingKeyBytes(context.parameters, level))
    this.#memory = sizes.length === 0 ? undefined : builder.allocate(Math.max(...sizes))
  }

  /** Whether no copy is needed to read a key at a level of so many primes. */
  holds(key: SwitchingKey, primes: number): boolean {
    if (!key.isFar) return true
    return this.#held?.key === key && this.#held.copy.level >= primes - 1
  }

  /**
   * The key in kernel memory, for a level of so many primes. Takes a phase where it must be copied; the copy
   * stays until the next one.
   */
  near(key: SwitchingKey, primes: number): SwitchingKey {
    if (!key.isFar) return key
    if (this.holds(key, primes)) return this.#held!.copy
    const copy = keyLayout(this.#context, primes - 1, this.#memory!)
    this.#builder.phase(this.#copies(key, copy, primes))
    this.#held = { key, copy }
    return copy
  }

  /** Items of one limb each. */
  #copies(from: SwitchingKey, to: SwitchingKey, primes: number): Item[] {
    const indices = limbsOf(this.#context, primes, true)
    const pairs = Array.from({ length: Math.ceil(primes / digitSize(this.#context.parameters)) }, (_, j) => j)
    return pairs.flatMap((j) =>
      [0, 1].flatMap((p) =>
        indices.map((index) =>
          farCopy(to.address(j, p, index), from.address(j, p, index), this.#context.limbBytes),
        ),
      ),
    )
  }
}
