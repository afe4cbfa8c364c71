const MOST_CHARACTERS = 80

/** A name out of a file, as a message may show it: cut, and without characters that move a terminal's cursor. */
export const printable = (name: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  name.slice(0, MOST_CHARACTERS).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
