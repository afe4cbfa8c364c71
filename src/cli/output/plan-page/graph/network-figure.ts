import type { LayerReport, PlanReport } from '../../../../compiler/index.ts'
import { counted } from '../../../../text/counted.ts'
import { type Markup, markup } from '../markup.ts'
import { scrolled } from '../scrolled.ts'
import { type Section, sectionsOf } from '../sections.ts'
import { graphDrawing } from './drawing.ts'
import { layerNodes, partId, partNodes } from './nodes.ts'

/** Largest number of layers that one drawing shows. Deeper networks are drawn part by part. */
const MOST_LAYERS = 48

/** The network as a graph: which layers read which. */
export function networkFigure({ layers }: PlanReport): Markup {
  const names = layers.map(({ name }) => name)
  const frames = sectionsOf(names)
  if (layers.length <= MOST_LAYERS) {
    const all = { name: 'The network', from: 0, to: layers.length }
    return markup`<div class="network">
${drawingOf('graph', all, layers, frames)}
${legend(LAYERS)}
</div>`
  }
  const parts = sectionsOf(names, MOST_LAYERS)
  return markup`<div class="network">
${scrolled('The parts of the network', graphDrawing(partsText(layers, parts), partNodes(layers, parts)))}
<div>${legend(PARTS)}
${parts.map((part, place) => (part.to - part.from > 1 ? inside(part, partId(place), layers, frames) : undefined))}</div>
</div>`
}

function inside(
  part: Section,
  id: string,
  layers: readonly LayerReport[],
  frames: readonly Section[],
): Markup {
  const count = counted(part.to - part.from, 'layer')
  return markup`<details><summary>${part.name}<span>${count}, ${part.from + 1} to ${part.to}</span></summary>
${drawingOf(id, part, layers, frames)}
</details>
`
}

const drawingOf = (
  id: string,
  section: Section,
  layers: readonly LayerReport[],
  frames: readonly Section[],
): Markup =>
  scrolled(
    `Layers ${section.from + 1} to ${section.to}: ${section.name}`,
    graphDrawing(layersText(section), layerNodes(layers, section, frames)),
    id,
  )

const layersText = ({ name, from, to }: Section): string =>
  `${name}: ${counted(to - from, 'layer')} and which layers they read; the column “reads” of the table of all layers has the same.`

const partsText = (layers: readonly LayerReport[], parts: readonly Section[]): string =>
  `${counted(parts.length, 'part')} of a network of ${counted(layers.length, 'layer')} and which parts they read; ` +
  'the column “reads” of the table of all layers tells which layers do.'

const LINES =
  'An arrow leads from a layer to one that computes with its result. Lines at the side pass by the layers between. ' +
  'Where several arrows meet, the layer adds what they bring, or multiplies it where it is a product.'

const LAYERS = [LINES, 'Each box leads to the layer’s row in the table.']

const PARTS = [
  LINES,
  'Each box is a part of the network, and leads to a drawing of its layers. These are numbered as in the table; dashed boxes above ' +
    'them are layers of other parts that they read.',
]

const legend = (
  texts: readonly string[],
): Markup => markup`<div class="reading">${texts.map((text) => markup`<p>${text}</p>`)}
<ul class="legend"><li><i class="key box product"></i>product of two ciphertexts</li></ul></div>`
