const MOST_CHARACTERS = 80

/** A name out of a file, as a message may show it: cut, and without characters that move a terminal's cursor. */
export const printable = (name: string): string =>
  name.slice(0, MOST_CHARACTERS).replaceAll(/\p{Cc}/gu, '\ufffd')
