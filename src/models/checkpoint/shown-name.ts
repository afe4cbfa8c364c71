import { printable } from '../../errors/index.ts'

const MOST_CHARACTERS = 80

/**
 * A name out of a file, as a message may show it: cut, and without characters that move a terminal's cursor.
 */
export const shownName = (name: string): string => printable(name.slice(0, MOST_CHARACTERS))
