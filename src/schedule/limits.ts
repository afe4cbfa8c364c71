// Memory limits of the simd engine that its plan and its execution both keep.

/** Bytes of one residue in kernel memory. */
export const RESIDUE_BYTES = 4

/**
 * Bytes between polynomials in memory. Sums read equal ranges of a hundred polynomials and more, whose
 * addresses would otherwise differ by multiples of a page, so that all these ranges compete for few sets of a
 * cache. An odd number of cache lines, a line more than the shortest range, gives each range sets of its own.
 */
export const POLYNOMIAL_GAP_BYTES = 17 * 64

/** Memory that the digits of one step's rotations may take. */
export const DIGIT_BYTES = 96 * 2 ** 20

/** Memory that weights may take which are copied or expanded together. */
export const EXPANSION_BYTES = 64 * 2 ** 20

/** The most memory that kernels reach, with 32-bit addresses; the last page is left out. */
export const MOST_KERNEL_BYTES = 2 ** 32 - 65536

/**
 * Most kernel memory that a circuit is planned for. The engine takes a little more than the stated memory.
 */
export const MOST_PLANNED_BYTES = 0.98 * MOST_KERNEL_BYTES
