import { InvalidArgumentError } from 'commander'
import type { Link } from '../../compiler/index.ts'

/** For commander: a whole number from `least` to `most`. */
export const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }

/** For commander: a power of two, or `auto`. */
export function batch(text: string): number | 'auto' {
  if (text === 'auto') return text
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isInteger(Math.log2(value))) return value
  throw new InvalidArgumentError('It must be a power of two, or auto.')
}

/** For commander: RTT_MS,MBIT, two positive numbers. */
export function link(text: string): Link {
  const match = /^(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)$/.exec(text)
  const [roundTripMs, megabitsPerSecond] = match ? match.slice(1).map(Number) : [0, 0]
  if (megabitsPerSecond > 0) return { roundTripMs, megabitsPerSecond }
  throw new InvalidArgumentError(
    'It must be a round trip in milliseconds and a rate in Mbit/s, such as 20,100.',
  )
}

/** For commander: a whole number, or `all`, which is infinite. */
export function countOrAll(text: string): number {
  if (text === 'all') return Number.POSITIVE_INFINITY
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number, or all.')
}

/** For commander: a fraction from 0 to 1. */
export function fraction(text: string): number {
  const value = Number(text)
  if (/^\d*\.?\d+$/.test(text) && value <= 1) return value
  throw new InvalidArgumentError('It must be a fraction from 0 to 1, such as 0.95.')
}
