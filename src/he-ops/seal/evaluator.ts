import type { Ciphertext, Plaintext } from 'node-seal'
import { conjugationElement, galoisElement } from '../../circuit/keys.ts'
import { type CiphertextType, typeLaws } from '../../circuit/laws.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { raiseKeysMissing } from '../../wire/index.ts'
import { type Evaluator, noClient } from '../backend.ts'
import { ConstantSource, type ConstantSourceOptions } from './constants.ts'
import type { SealContext } from './context.ts'
import type { EvaluationKeys } from './keys/index.ts'
import { raiseModulus } from './raise.ts'
import { guarded } from './runtime.ts'

export type SealEvaluator = Evaluator<Ciphertext> & {
  /** Frees its plaintexts and tools; neither keys nor ciphertexts. */
  delete(): void
}

/**
 * The evaluator on node-seal's ciphertexts.
 *
 * Levels and scales follow `typeLaws` exactly. SEAL compares scales to one unit in the last place, so each
 * result's scale is set to the double that the law gives.
 *
 * @param keys evaluation keys, which the caller deletes; undefined for circuits without rotations and
 *   products
 * @param circuit with the constants of the operations
 */
export function createSealEvaluator(
  ctx: SealContext,
  keys: EvaluationKeys | undefined,
  circuit: Pick<Circuit, 'constants'>,
  options: ConstantSourceOptions = {},
): SealEvaluator {
  const { seal, parameters, levelIds } = ctx
  const laws = typeLaws(parameters)
  const evaluator = new seal.Evaluator(ctx.context)
  const constants = new ConstantSource(ctx, circuit.constants, options)

  /** Makes a ciphertext; frees it again when `fill` throws. */
  const make = (fill: (out: Ciphertext) => void, type: CiphertextType): Ciphertext => {
    const out = new seal.Ciphertext()
    try {
      guarded(seal, () => fill(out))
      out.setScale(type.scale)
      return out
    } catch (cause) {
      out.delete()
      throw cause
    }
  }

  /** Runs `body` on `b`, or on a copy with the scale set where it differs (by less than the tolerance). */
  const atScale = (b: Ciphertext, scale: number, body: (b: Ciphertext) => void): void => {
    if (b.scale() === scale) {
      body(b)
      return
    }
    const copy = b.copy()
    try {
      copy.setScale(scale)
      body(copy)
    } finally {
      copy.delete()
    }
  }

  const product = new seal.Ciphertext()

  /** sum += a * plaintext, or sum = a * plaintext when it is still empty. */
  const addProduct = (
    sum: Ciphertext,
    isEmpty: boolean,
    a: Ciphertext,
    plaintext: Plaintext,
    scale: number,
  ) => {
    const target = isEmpty ? sum : product
    evaluator.multiplyPlain(a, plaintext, target)
    target.setScale(scale)
    if (!isEmpty) evaluator.addInplace(sum, product)
  }

  /** Applies the automorphism of a Galois element. @param what names it for an error */
  const moved = (a: Ciphertext, type: CiphertextType, element: number, what: string): Ciphertext => {
    const galoisKeys = keys?.galoisKeys.get(element)
    if (!galoisKeys) {
      throw new PolyVeilError('KEYS_MISSING', `There is no Galois key for ${what}`, {
        galoisElements: [element],
      })
    }
    return make((out) => {
      out.assign(a)
      for (const { element, key } of galoisKeys) evaluator.applyGaloisInplace(out, element, key)
    }, type)
  }

  return {
    name: 'seal',
    levelOf: (a) => a.coeffModulusSize() - 1,
    scaleOf: (a) => a.scale(),

    rotate(a, steps) {
      const type = laws.rotate(typeOf(a), steps)
      return moved(a, type, galoisElement(parameters.ring, steps), `rotations by ${steps}`)
    },

    conjugate: (a) => moved(a, laws.conjugate(typeOf(a)), conjugationElement(parameters.ring), 'conjugation'),

    timesI(a) {
      const type = laws.timesI(typeOf(a))
      return make((out) => evaluator.multiplyPlain(a, constants.imaginaryUnit(type.level), out), type)
    },

    dot(terms, constantScale) {
      const types = terms.map(({ ciphertext }) => typeOf(ciphertext))
      const type = laws.dot(types, constantScale)
      return make((out) => {
        let isEmpty = true
        for (const { ciphertext, constant } of terms) {
          const added = constants.use(constant, constantScale, type.level, (plaintext) =>
            addProduct(out, isEmpty, ciphertext, plaintext, type.scale),
          )
          if (added) isEmpty = false
        }
        if (isEmpty) throw new PolyVeilError('CONFIG_INVALID', 'Every weight of a dot rounds to zero')
      }, type)
    },

    addPlain(a, constant) {
      const type = laws.addPlain(typeOf(a))
      return make((out) => {
        out.assign(a)
        constants.use(constant, type.scale, type.level, (plaintext) =>
          evaluator.addPlainInplace(out, plaintext),
        )
      }, type)
    },

    add(a, b) {
      const type = laws.add(typeOf(a), typeOf(b))
      return make((out) => atScale(b, type.scale, (same) => evaluator.add(a, same, out)), type)
    },

    subtract(a, b) {
      const type = laws.add(typeOf(a), typeOf(b))
      return make((out) => atScale(b, type.scale, (same) => evaluator.sub(a, same, out)), type)
    },

    multiply(a, b) {
      const type = laws.multiply(typeOf(a), typeOf(b))
      const square = a === b
      return make((out) => (square ? evaluator.square(a, out) : evaluator.multiply(a, b, out)), type)
    },

    relinearise(a) {
      const type = laws.relinearise(typeOf(a))
      if (!keys) throw new PolyVeilError('KEYS_MISSING', 'There is no relinearisation key')
      return make((out) => evaluator.relinearize(a, keys.relinKeys, out), type)
    },

    rescale(a) {
      const type = laws.rescale(typeOf(a))
      return make((out) => evaluator.rescaleToNext(a, out), type)
    },

    dropLevel(a, level) {
      const type = laws.dropLevel(typeOf(a), level)
      return make((out) => evaluator.cipherModSwitchTo(a, levelIds[level], out), type)
    },

    refresh(a) {
      laws.refresh(typeOf(a))
      throw noClient()
    },

    raise(a) {
      const type = laws.raise(typeOf(a))
      const raiseKeys = keys?.raiseKeys
      if (raiseKeys === undefined) throw raiseKeysMissing()
      return make((out) => raiseModulus(ctx, raiseKeys, a, out), type)
    },

    free: (a) => a.delete(),

    delete() {
      product.delete()
      constants.delete()
      evaluator.delete()
    },
  }
}

const typeOf = (a: Ciphertext): CiphertextType => ({
  level: a.coeffModulusSize() - 1,
  scale: a.scale(),
  polynomials: a.size() === 3 ? 3 : 2,
})
