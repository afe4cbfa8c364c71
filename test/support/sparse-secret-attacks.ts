// What the known attacks on ring LWE with a sparse ternary secret cost: hybrids that guess a part of the
// secret, and attack the rest by lattice reduction. The numbers are lower bounds by simple models, not
// predictions.
//
// - Lattice reduction: BKZ with blocks of size b costs 2^(0.292 b) operations ("core-SVP", Alkim, Ducas,
//   Poppelmann and Schwabe, ePrint 2015/1092), as if it solved one block once, in unit time for each vector
//   of a sieve. The Gram-Schmidt norms of the basis are a geometric series. `reduction: 'sieve'` counts what
//   Becker, Ducas, Gama and Laarhoven (2016) count for a sieve, and 8 d blocks, as the estimates do that the
//   security table was made with.
// - Guessing: the attacker takes k coefficients to have at most g that are not zero. He goes through all of
//   these by meeting in the middle, in the square root of their number, with one operation for each. What
//   such an operation really does, a nearest plane in thousands of dimensions or thousands of inner products,
//   is not counted, and neither is memory. He begins anew with other coefficients until the guess holds.
// - The ring is not used: neither its rotations nor its subrings, for which no attack on such secrets is
//   known that gains more than a few bits.
//
// Sources: Howgrave-Graham, "A Hybrid Lattice-Reduction and Meet-in-the-Middle Attack Against NTRU" (2007);
// Son and Cheon, "Revisiting the Hybrid Attack on Sparse Secret LWE", ePrint 2019/1019; Cheon, Hhan, Hong and
// Son, "A Hybrid of Dual and Meet-in-the-Middle Attack on Sparse and Ternary Secret LWE", ePrint 2019/1114.

/** Encryptions under a sparse secret. There are as many as an attacker may use. */
export interface SparseInstance {
  readonly ring: number
  /** log2 of the modulus. */
  readonly logModulus: number
  /** Coefficients of the secret that are not zero. */
  readonly weight: number
}

export type Reduction = 'core-SVP' | 'sieve'

/** The cheapest attack of a kind. */
export interface Attack {
  /** log2 of its operations. */
  readonly bits: number
  /** Coefficients whose values are guessed, and how many of them may not be zero. */
  readonly guessed: number
  readonly nonzero: number
  readonly blockSize: number
}

/** Deviation of the errors. */
const SIGMA = Math.sqrt(10.5)
/** Block sizes that are tried: for smaller ones the root Hermite factor's formula does not hold. */
const BLOCKS = { least: 60, most: 480, step: 6 }
/** Coefficients that are not guessed: fewest, and number of choices up to most of them. */
const REST = { least: 400, most: 12_000, step: 100 }

/** log2 of the root Hermite factor of BKZ. Source: Chen's thesis, 2013. */
const logHermite = (block: number): number =>
  Math.log2(((Math.PI * block) ** (1 / block) * block) / (2 * Math.PI * Math.E)) / (2 * (block - 1))

/** log2 of the cost of lattice reduction in dimension d. */
const reductionBits = (block: number, dimension: number, reduction: Reduction): number =>
  reduction === 'core-SVP' ? 0.292 * block : 0.292 * block + 16.4 + Math.log2(8 * dimension)

/**
 * Guessing and nearest planes. The basis of the other coefficients is reduced so far that the nearest plane
 * of the right guess is the error, and that the two halves of the right guess collide.
 */
export function primalHybrid(instance: SparseInstance, reduction: Reduction = 'core-SVP'): Attack {
  return cheapest(instance, (rest, block, guesses) => {
    // The best guesses leave more than half of the weight. Less weight is in the attacker's favour.
    const shape = shapeFor(instance, rest, block, instance.weight / 2)
    if (shape === undefined) return []
    const reduce = reductionBits(block, shape.dimension, reduction)
    const failures = -admissibleBits(shape)
    return guesses.map(({ space, hit }) => logSum(reduce, space / 2) - hit + failures)
  })
}

/**
 * Guessing and short vectors of the dual lattice, which turn the encryptions into few with a large error and
 * the guessed coefficients as their secret. A meeting in the middle finds these.
 */
export function dualHybrid(instance: SparseInstance, reduction: Reduction = 'core-SVP'): Attack {
  const { ring, weight } = instance
  return cheapest(instance, (rest, block) => {
    const guessed = ring - rest
    return Array.from({ length: weight }, (_, nonzero) => {
      // An even number, half of it in each half of the guessed coefficients.
      if (nonzero === 0 || nonzero % 2 === 1) return Number.POSITIVE_INFINITY
      const shape = shapeFor(instance, rest, block, weight - nonzero)
      if (shape === undefined) return Number.POSITIVE_INFINITY
      // Errors of the new encryptions in units of the modulus. Entries lie within two deviations.
      const error = 2 ** (shape.logDual + Math.log2(Math.sqrt(4 / 3)))
      const range = 4 * error
      if (range >= 1) return Number.POSITIVE_INFINITY
      const half = logBinomial(guessed / 2, nonzero / 2) + nonzero / 2
      const rows = half + Math.log2(half)
      const split = 2 * logBinomial(guessed / 2, nonzero / 2) - logBinomial(guessed, nonzero)
      const success = hitBits(instance, guessed, nonzero) + split + rows * Math.log2(WITHIN_TWO)
      // An entry near the border of a cell is looked up in both cells.
      const search = half + range * rows
      return logSum(reductionBits(block, shape.dimension, reduction), search) - success
    })
  })
}

/** Probability that a normal number lies within two deviations. */
const WITHIN_TWO = 0.9545

/** A reduced basis for the coefficients that are not guessed. */
interface Shape {
  readonly dimension: number
  /** log2 of the last Gram-Schmidt norm; each before it is larger by `step`. */
  readonly last: number
  readonly step: number
  /** log2 of the error that a short vector of the dual lattice leaves, in units of the modulus. */
  readonly logDual: number
}

/**
 * The basis of the best dimension, scaled so that secret and error have equal deviations.
 *
 * @param weight of the coefficients that are not guessed
 */
function shapeFor(
  { ring, logModulus }: SparseInstance,
  rest: number,
  block: number,
  weight: number,
): Shape | undefined {
  const hermite = logHermite(block)
  const secret = Math.log2(Math.sqrt(weight / rest))
  const scale = Math.log2(SIGMA) - secret
  // A small secret makes the scaled modulus smaller.
  const ratio = logModulus - scale
  const dimension = Math.round(Math.min(Math.sqrt((rest * ratio) / hermite), rest + ring))
  if (dimension <= rest || dimension < block) return undefined
  const samples = dimension - rest
  const volume = (samples * logModulus + rest * scale) / dimension
  return {
    dimension,
    last: volume - hermite * dimension,
    step: 2 * hermite,
    logDual: secret + dimension * hermite - (ratio * samples) / dimension,
  }
}

/**
 * log2 of the probability that the nearest plane finds the error, and that both halves of a guess have the
 * same nearest plane up to the error (Son and Cheon, lemma 4.2).
 */
function admissibleBits({ last, step, dimension }: Shape): number {
  let bits = 0
  for (let i = 0; i < dimension; i++) {
    const norm = 2 ** (last + i * step) / SIGMA
    if (norm > 1e5) break
    const x = norm * Math.SQRT1_2
    const collides = erf(x) - (1 - Math.exp(-x * x)) / (x * Math.sqrt(Math.PI))
    bits +=
      Math.log2(Math.max(erf(x / 2), Number.MIN_VALUE)) + Math.log2(Math.max(collides, Number.MIN_VALUE))
    if (bits < -2000) break
  }
  return bits
}

/** Guesses with at most `nonzero` coefficients that are not zero: log2 of their number and of their hits. */
interface Guess {
  readonly space: number
  readonly hit: number
}

/** @param costs gives log2 of the cost for each number of guessed coefficients that may not be zero */
function cheapest(
  instance: SparseInstance,
  costs: (rest: number, block: number, guesses: readonly Guess[]) => readonly number[],
): Attack {
  const { ring } = instance
  let best: Attack = { bits: Number.POSITIVE_INFINITY, guessed: 0, nonzero: 0, blockSize: 0 }
  for (let rest = REST.least; rest <= Math.min(ring, REST.most); rest += REST.step) {
    const guesses = guessesOf(instance, ring - rest)
    for (let blockSize = BLOCKS.least; blockSize <= BLOCKS.most; blockSize += BLOCKS.step) {
      costs(rest, blockSize, guesses).forEach((bits, nonzero) => {
        if (bits < best.bits) best = { bits, guessed: ring - rest, nonzero, blockSize }
      })
    }
  }
  return best
}

function guessesOf(instance: SparseInstance, guessed: number): Guess[] {
  let [space, hit] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  return Array.from({ length: instance.weight + 1 }, (_, nonzero) => {
    space = logSum(space, logBinomial(guessed, nonzero) + nonzero)
    hit = Math.min(0, logSum(hit, hitBits(instance, guessed, nonzero)))
    return { space, hit }
  })
}

/** log2 of the probability that exactly so many of the guessed coefficients are not zero. */
const hitBits = ({ ring, weight }: SparseInstance, guessed: number, nonzero: number): number =>
  logBinomial(guessed, nonzero) + logBinomial(ring - guessed, weight - nonzero) - logBinomial(ring, weight)

/**
 * log2 of the cost of lattice reduction alone against a dense ternary secret, whose coefficients are all
 * unknown: the attack by a unique shortest vector. It shows what the models give for the security table.
 */
export function denseBits(
  { ring, logModulus }: Omit<SparseInstance, 'weight'>,
  reduction: Reduction,
): number {
  for (let block = BLOCKS.least; ; block++) {
    const shape = shapeFor({ ring, logModulus, weight: 0 }, ring, block, (2 / 3) * ring)
    if (shape === undefined) continue
    const { dimension, last, step } = shape
    if (Math.log2(Math.sqrt(block) * SIGMA) <= last + (block - 0.5) * step) {
      return reductionBits(block, dimension, reduction)
    }
  }
}

/** log2(2^a + 2^b). */
function logSum(a: number, b: number): number {
  const [small, large] = a < b ? [a, b] : [b, a]
  return small === Number.NEGATIVE_INFINITY ? large : large + Math.log2(1 + 2 ** (small - large))
}

/** log2 of a binomial coefficient; minus infinity where there is no choice. */
function logBinomial(n: number, k: number): number {
  if (k < 0 || k > n) return Number.NEGATIVE_INFINITY
  let bits = 0
  for (let i = 1; i <= k; i++) bits += Math.log2((n - k + i) / i)
  return bits
}

/** The error function, to about 10^-7. Source: Abramowitz and Stegun, 7.1.26. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * x)
  const series =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
  return 1 - series * Math.exp(-x * x)
}
