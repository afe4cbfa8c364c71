// Figures as text.

/** Seconds with two significant digits, or three from 10 on. */
export const secondsText = (seconds: number): string =>
  // `toPrecision` would write 1.37e+3.
  seconds < 1000 ? `${seconds.toPrecision(seconds < 10 ? 2 : 3)} s` : `${Number(seconds.toPrecision(3))} s`

export const millisecondsText = (seconds: number): string => `${(seconds * 1000).toPrecision(2)} ms`

export const percent = (share: number): string => `${Math.round(share * 100)} %`

/** A count with two significant digits. */
export const countText = (count: number): string =>
  Number(count.toPrecision(2)).toLocaleString('en-GB', { maximumFractionDigits: 0 })

/** Decimal units: 154 MB, 1.6 GB. */
export function bytesText(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`
  if (bytes >= 1e6) return `${bytes < 1e7 ? (bytes / 1e6).toFixed(1) : Math.round(bytes / 1e6)} MB`
  return `${Math.round(bytes / 1e3)} kB`
}
