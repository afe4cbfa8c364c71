const UNITS = ['B', 'kB', 'MB', 'GB'] as const

/** Bytes in decimal units, three significant digits: 1234567 is "1.23 MB". */
export function bytesText(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)))
  const value = bytes / 1000 ** power
  // Not `toPrecision`, which writes 999.9 as 1.00e+3.
  const decimals = power === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(decimals)} ${UNITS[power]}`
}

/** Seconds, shorter ones with more digits: "0.042 s", "3.1 s". */
export const secondsText = (seconds: number): string => `${seconds.toFixed(seconds < 1 ? 3 : 1)} s`

/** A small error: "3.1e-5". */
export const errorText = (error: number): string => error.toExponential(1)
