/** Characters of a token's note. This module has no imports, so that the command line starts fast. */
export const MOST_NOTE = 200
