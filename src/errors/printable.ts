// Text of another side is printed on terminals, and terminals obey control characters: they clear the screen,
// set the title, or overwrite earlier text. Characters that turn the direction of writing make a line read as
// another one.

/** White space that breaks a line or moves the cursor. Line and paragraph separators count. */
const SPACES = /[\t\n\v\f\r\u0085\u2028\u2029]+/g
/**
 * C0, DEL and C1, and the marks, embeddings, overrides and isolates of bidirectional text (Unicode Standard
 * Annex 9).
 */
const CONTROLS = /[\p{Cc}\p{Bidi_Control}]/gu
/** The same without the line feed. */
const CONTROLS_IN_LINES = /(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu

/**
 * A piece of another side's text in one line: breaks become spaces, and other control characters are removed.
 */
export const printable = (text: string): string => text.replace(SPACES, ' ').replace(CONTROLS, '')

/**
 * Text of several lines without control characters, except for line feeds. Pieces of another side pass
 * `printable` first.
 */
export const printableLines = (text: string): string => text.replace(CONTROLS_IN_LINES, '')

/** JSON of equal meaning in which every control character is escaped. */
export const printableJson = (json: string): string =>
  json.replace(
    CONTROLS_IN_LINES,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
