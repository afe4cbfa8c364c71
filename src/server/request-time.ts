import { MAX_PART_BYTES } from '../wire/protocol/index.ts'

/** A request has to arrive within this time. A part of 16 MiB does so over a line of 1.2 Mbit/s. */
export const REQUEST_MILLISECONDS = 120_000

/** The rate of that line, in bytes per millisecond. */
export const LEAST_RATE = MAX_PART_BYTES / REQUEST_MILLISECONDS
