const FEWEST_TICKS = 3

/**
 * Round numbers from 0 to the first that is not below `most`, about four steps.
 *
 * @param most largest value of the chart, finite
 * @param finest least step; 1 where values are counts
 */
export function ticksOf(most: number, finest = 0): number[] {
  const step = Math.max(finest, roundStep((most > 0 ? most : 1) / FEWEST_TICKS))
  const count = Math.max(1, Math.ceil(most / step - 1e-9))
  return Array.from({ length: count + 1 }, (_, i) => i * step)
}

/** The largest of 1, 2 and 5, times a power of ten, that is not above `step`. */
export function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step))
  const digit = [5, 2, 1].find((d) => d * power <= step * (1 + 1e-9)) ?? 1
  return digit * power
}

/** A tick in as many digits as its step has. */
export function tickText(tick: number, step: number): string {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
  return tick.toFixed(Math.min(12, decimals))
}

/**
 * Numbers of items, from 1, to stand below an axis: the first and round ones that leave `least` units to
 * each.
 */
export function itemNumbers(count: number, width: number, least: number): number[] {
  const wanted = (count * least) / width
  const step =
    wanted <= 1 ? 1 : ([2, 5, 10, 20, 50, 100, 200, 500].find((s) => s >= wanted) ?? roundStep(wanted) * 10)
  const round = Array.from({ length: Math.floor(count / step) }, (_, i) => (i + 1) * step)
  return step === 1 ? round : [1, ...round]
}
