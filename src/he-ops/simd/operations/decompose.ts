import { digitSize } from '../../../circuit/parameters/parameters.ts'
import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import type { BaseConversion } from '../tables/base-conversion.ts'
import { limbsOf } from '../values/values.ts'
import { convert } from './convert.ts'

/** The digits of one polynomial, each modulo all primes of its level and the special primes, in NTT form. */
export interface Decomposition {
  readonly digits: number
  /** Address of digit j modulo the prime at `place` among data and special primes. */
  address(j: number, place: number): number
  /** Frees the digits. */
  free(): void
}

/**
 * The integers that digits stand for: those of least absolute value (`centred`), or those in 0 .. q - 1
 * (`positive`, for digits of one prime only), as in SEAL. Positive digits have the mean q / 2, which makes
 * errors up to some fifty times the typical one in slots 0 and 1 and a few others (see `keySwitchingNoise`).
 */
export type DigitForm = 'centred' | 'positive'

/**
 * Decomposes polynomials for key switching (ModUp of each digit). Digit j is the polynomial modulo k data
 * primes, as an integer; k is the number of special primes.
 *
 * Source: Han and Ki, "Better Bootstrapping for Approximate Homomorphic Encryption", ePrint 2019/688, section
 * 3.
 *
 * @param polynomials addresses of polynomials of `primes` data primes; unchanged. Users of the digits read
 *   them again
 */
export function emitDecompositions(
  builder: ProgramBuilder,
  context: SimdContext,
  polynomials: readonly number[],
  primes: number,
  form: DigitForm = 'centred',
): Decomposition[] {
  const tasks = polynomials.map((polynomial) => decompositionTask(builder, context, polynomial, primes, form))
  builder.phase(tasks.flatMap((task) => task.sources))
  builder.phase(tasks.flatMap((task) => task.modUps))
  return tasks.map((task) => task.decomposition)
}

interface DecompositionTask {
  /** The residues of each digit, as its base conversion takes them. */
  readonly sources: Item[]
  /** The base conversions of each digit to all other primes (ModUp). */
  readonly modUps: Item[]
  readonly decomposition: Decomposition
}

function decompositionTask(
  builder: ProgramBuilder,
  context: SimdContext,
  polynomial: number,
  primes: number,
  form: DigitForm,
): DecompositionTask {
  const { limbBytes, parameters } = context
  const k = digitSize(parameters)
  const indices = limbsOf(context, primes, true)
  const digits = Array.from({ length: Math.ceil(primes / k) }, (_, j) => {
    const own = indices.slice(j * k, Math.min((j + 1) * k, primes))
    return {
      own,
      conversion: context.conversion(own, k > 1 || form === 'centred'),
      extension: builder.allocatePolynomial(limbBytes * indices.length),
    }
  })
  // The sources have memory of their own, because ModUp reads them while it writes.
  const temporaries = digits.map(({ own }) => builder.allocate(limbBytes * (own.length + 1)))
  const sources = digits.map(
    ({ own, conversion }, j): Item =>
      (call) => {
        own.forEach((index, i) => {
          convert.source(
            call,
            context,
            conversion,
            i,
            polynomial + limbBytes * index,
            temporaries[j] + limbBytes * i,
          )
        })
        if (conversion.needsQuotients) convert.quotients(call, context, conversion, temporaries[j])
      },
  )
  const modUps = digits.flatMap(({ own, conversion, extension }, j) =>
    modUpItems(builder, context, conversion, temporaries[j], extension, indices, own),
  )
  return {
    sources,
    modUps,
    decomposition: {
      digits: digits.length,
      // Modulo its own primes the digit is the polynomial itself.
      address: (j, place) =>
        digits[j].own.includes(indices[place])
          ? polynomial + limbBytes * place
          : digits[j].extension + limbBytes * place,
      free() {
        for (const { extension } of digits) builder.free(extension)
        for (const temporary of temporaries) builder.free(temporary)
      },
    },
  }
}

function modUpItems(
  builder: ProgramBuilder,
  context: SimdContext,
  conversion: BaseConversion,
  temporary: number,
  extension: number,
  indices: readonly number[],
  own: readonly number[],
): Item[] {
  const write = convert.targetWriter(builder, context, conversion, temporary)
  return indices.flatMap((index, place): Item[] =>
    own.includes(index) ? [] : [(call) => write(call, index, extension + context.limbBytes * place)],
  )
}
