import type { LayerReport } from '../../../../compiler/index.ts'
import { counted } from '../../../../text/counted.ts'
import { layerId } from '../layer-axis.ts'
import { nameWithin, type Section } from '../sections.ts'

/** A box of the graph. Boxes stand below each other in order. */
export interface GraphNode {
  /** What it is called, and what it is. */
  readonly name: string
  readonly detail: string
  /** Its class in the page's style. */
  readonly look: 'layer' | 'product' | 'part' | 'outside'
  /** The boxes before it whose results it reads, by index. */
  readonly reads: readonly number[]
  /** Where the page tells more about it: the id of an element. */
  readonly target: string
  /** What a frame around it and its neighbours of the same frame is called. */
  readonly frame?: string
}

/**
 * The layers of a section, in frames for the parts within it. Layers before the section that it reads stand
 * at the top.
 */
export function layerNodes(
  layers: readonly LayerReport[],
  section: Section,
  parts: readonly Section[],
): GraphNode[] {
  const inside = range(section)
  const outside = [...new Set(inside.flatMap((index) => layers[index].reads))].filter(
    (index) => index < section.from,
  )
  const shown = [...outside.sort((a, b) => a - b), ...inside]
  const places = new Map(shown.map((index, place) => [index, place]))
  return shown.map((index): GraphNode => {
    const isInside = index >= section.from
    const reads = isInside ? layers[index].reads.flatMap((read) => places.get(read) ?? []) : []
    return {
      ...described(layers, index, isInside ? parts : []),
      reads,
      ...(isInside ? {} : { look: 'outside' }),
    }
  })
}

function described(
  layers: readonly LayerReport[],
  index: number,
  parts: readonly Section[],
): Omit<GraphNode, 'reads'> {
  const { name, kind, shape, products } = layers[index]
  const part = parts.find(({ from, to }) => from <= index && index < to)
  const isFramed = part !== undefined && (part.to - part.from > 1 || part.name !== name)
  return {
    name: `${index + 1} ${isFramed ? nameWithin(name, part.name) : name}`,
    detail: `${kind} ${shapeText(shape)}`,
    look: products > 0 ? 'product' : 'layer',
    target: layerId(index),
    ...(isFramed ? { frame: part.name } : {}),
  }
}

/** A box for each part of the network. Parts of one layer are that layer. */
export function partNodes(layers: readonly LayerReport[], parts: readonly Section[]): GraphNode[] {
  const partOf = parts.flatMap((part, place) => range(part).map(() => place))
  return parts.map((part, place) => {
    const own = range(part)
    const reads = own.flatMap((index) => layers[index].reads.map((read) => partOf[read]))
    const others = [...new Set(reads)].filter((read) => read < place).sort((a, b) => a - b)
    if (own.length === 1) return { ...described(layers, part.from, []), reads: others }
    return {
      name: part.name,
      detail: `${counted(own.length, 'layer')}, ${shapeText(layers[part.to - 1].shape)}`,
      look: 'part',
      reads: others,
      target: partId(place),
    }
  })
}

/** The id of the drawing of a part's inside. */
export const partId = (place: number): string => `part-${place + 1}`

const shapeText = (shape: readonly number[]): string => shape.join(' × ')

const range = ({ from, to }: Section): number[] => Array.from({ length: to - from }, (_, i) => from + i)
