import { type Markup, markup, type Part } from './markup.ts'

/**
 * A region that scrolls sideways where its content is wider than the screen. It can be reached by keyboard,
 * and has a shadow at each edge where there is more.
 *
 * @param label what it shows; unique on the page
 */
export const scrolled = (label: string, content: Part, id?: string): Markup =>
  markup`<div class="scroll"${id === undefined ? undefined : markup` id="${id}"`} tabindex="0" role="region" aria-label="${label}">
${content}
</div>
`
