import { type Markup, markup, type Part } from './markup.ts'

/** Sizes of a drawing in its own units. */
export interface PictureSize {
  readonly width: number
  readonly height: number
}

/**
 * A drawing for those who see, and what it shows in words for readers of screens. Links of drawings lead to
 * rows of tables, which readers of screens and keyboards have anyway.
 *
 * @param look class of the drawing in the page's style
 * @param isFixed whether a unit is a pixel on all screens; otherwise the drawing is as wide as the page
 */
export const picture = (
  alternative: string,
  look: string,
  { width, height }: PictureSize,
  isFixed: boolean,
  content: Part,
): Markup =>
  markup`<p class="spoken">${alternative}</p>
<svg class="${look}"${isFixed ? markup` width="${width}" height="${height}"` : undefined} viewBox="0 0 ${width} ${height}" aria-hidden="true">
${content}
</svg>`
