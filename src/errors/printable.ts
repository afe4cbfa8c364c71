// Text of another side is printed on terminals, and terminals obey control characters: they clear the screen,
// set the title, or overwrite earlier text. Characters that turn the direction of writing make a line read as
// another one, and characters without a shape make two words look alike or hide text.

/** White space that breaks a line or moves the cursor. Line and paragraph separators count. */
const SPACES = /[\t\n\v\f\r\u0085\u2028\u2029]+/g
/**
 * C0, DEL and C1; the marks, embeddings, overrides and isolates of bidirectional text (Unicode Standard Annex
 * 9); and characters without a shape, such as the soft hyphen, the zero width space, the empty braille
 * pattern and tags (Unicode Standard, section 5.21). Joiners and the first variation selectors stay, because
 * scripts and emoji need them.
 */
const UNSEEN =
  /(?!\u200c|\u200d|[\ufe00-\ufe0f])[\p{Cc}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\u2800\ufff9-\ufffb]/gu
/** The same, with line and paragraph separators and without the line feed. */
const UNSEEN_IN_LINES = new RegExp(`(?!\\n)(?:${UNSEEN.source}|[\\u2028\\u2029])`, 'gu')

/**
 * A piece of another side's text in one line: breaks become spaces, and other control characters and
 * characters without a shape are removed.
 */
export const printable = (text: string): string => text.replace(SPACES, ' ').replace(UNSEEN, '')

/**
 * Text of several lines without such characters, except for line feeds. Pieces of another side pass
 * `printable` first.
 */
export const printableLines = (text: string): string => text.replace(UNSEEN_IN_LINES, '')

/** JSON of equal meaning in which all such characters are escaped. */
export const printableJson = (json: string): string =>
  json.replace(UNSEEN_IN_LINES, (character) =>
    // JSON escapes units of UTF-16; some characters have two.
    Array.from({ length: character.length }, (_, i) => escaped(character.charCodeAt(i))).join(''),
  )

const escaped = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`
