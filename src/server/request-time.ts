/** A request has to arrive within this time. A part of 16 MiB does so over a line of 1.2 Mbit/s. */
export const REQUEST_MILLISECONDS = 120_000
