import { type Markup, markup, type Part } from './markup.ts'
import { scrolled } from './scrolled.ts'

/** A chart with what one has to know to read it. */
export interface Figure {
  readonly id: string
  readonly title: string
  /** One or two sentences. */
  readonly note: Part
  /** What the marks mean, where that is not plain. */
  readonly legend?: readonly LegendItem[]
  readonly drawing: Markup
}

export interface LegendItem {
  /** Its class in the page's style. */
  readonly look: 'bar' | 'back' | 'line' | 'second' | 'goal'
  readonly text: string
}

/** The figure as a part of the page. A narrow screen scrolls the drawing and not the page. */
export const figure = ({ id, title, note, legend = [], drawing }: Figure): Markup =>
  markup`<figure id="${id}">
<figcaption><h3>${title}</h3><p>${note}</p>${legend.length > 0 ? legendList(legend) : undefined}</figcaption>
${scrolled(title, drawing)}</figure>
`

const legendList = (items: readonly LegendItem[]): Markup =>
  markup`<ul class="legend">${items.map(({ look, text }) => markup`<li><i class="key ${look}"></i>${text}</li>`)}</ul>`
