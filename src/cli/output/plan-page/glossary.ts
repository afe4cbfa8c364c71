import { type Markup, markup } from './markup.ts'
import { TERMS } from './terms.ts'

/** The field's terms, for readers who know networks and not ciphertexts. */
export const glossary = (): Markup =>
  markup`<dl class="terms">${TERMS.map(([term, text]) => markup`<div><dt>${term}</dt><dd>${text}</dd></div>\n`)}</dl>`
