import { escapeText } from '../../../text/escape-text.ts'

/**
 * Tags and text that may stand in a page as they are. Whatever is a plain string is escaped, so that nothing
 * is forgotten.
 */
export class Markup {
  readonly #text: string

  /** @param text a constant of this program, which needs no escaping */
  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

/** What can be put into markup; nothing stands for `undefined`. */
export type Part = Markup | string | number | undefined | readonly Part[]

/**
 * A template tag: the template is markup, and what is put into it is escaped unless it is markup already.
 * Elements are written as XML has them, all closed, so that tests can hold pages to be well-formed.
 */
export const markup = (template: TemplateStringsArray, ...parts: readonly Part[]): Markup =>
  new Markup(template.map((text, i) => (i === 0 ? text : textOf(parts[i - 1]) + text)).join(''))

function textOf(part: Part): string {
  if (part === undefined) return ''
  if (part instanceof Markup) return String(part)
  if (typeof part === 'object') return part.map(textOf).join('')
  return escapeText(String(part))
}
