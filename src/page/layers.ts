import * as z from 'zod'
import { PolyVeilError } from '../errors/index.ts'
import { pathOf, ROUTES } from '../wire/protocol/index.ts'
import { fileOf } from './service.ts'

const layersSchema = z.array(z.object({ name: z.string(), operations: z.number().int().nonnegative() }))

/** The layers of a model, as its published plan has them. */
export interface PublishedPlan {
  /** Address of the plan's page, which needs the token where the service has tokens. */
  readonly address: URL
  /** The plan's page. */
  readonly html: string
  readonly layers: z.infer<typeof layersSchema>
}

const modelSchema = z.looseObject({ parameters: z.looseObject({ plan: z.boolean() }) })

/**
 * The plan of a model, where its operator has published it. The page does without where the plan does not
 * come.
 *
 * @param token of the service
 */
export async function publishedPlan(
  service: URL,
  model: string,
  token: string | undefined,
): Promise<PublishedPlan | undefined> {
  const headers = new Headers(token === undefined ? [] : [['authorization', `Bearer ${token}`]])
  const about = new URL(pathOf(ROUTES.model, { model }), service)
  const address = new URL(pathOf(ROUTES.plan, { model }), service)
  try {
    const { parameters } = modelSchema.parse(await (await fileOf(about, headers)).json())
    if (!parameters.plan) return undefined
    const html = await (await fileOf(address, headers)).text()
    return { address, html, layers: layersIn(html) }
  } catch (error) {
    if (error instanceof PolyVeilError) return undefined
    throw error
  }
}

const STYLE = /<style>([\s\S]*?)<\/style>/g

/** A plan's page for a document of this page, whose policy forbids styles in markup. */
export const withoutStyles = (html: string): string => html.replaceAll(STYLE, '')

/** The styles of a plan's page. */
export const stylesOf = (html: string): string =>
  [...html.matchAll(STYLE)].map(([, styles]) => styles).join('\n')

/** The layers of a plan's page, by the headings of its table; none where the page has another form. */
function layersIn(html: string): PublishedPlan['layers'] {
  const table = new DOMParser()
    .parseFromString(withoutStyles(html), 'text/html')
    .querySelector('#layers table')
  const headings = [...(table?.querySelectorAll('thead th') ?? [])].map(({ textContent }) => textContent)
  const [name, operations] = [headings.indexOf('layer'), headings.indexOf('operations')]
  const rows = [...(table?.querySelectorAll('tbody tr') ?? [])].map((row) => ({
    name: row.children[name]?.textContent,
    operations: Number(row.children[operations]?.textContent),
  }))
  const layers = layersSchema.safeParse(rows)
  return layers.success ? layers.data : []
}

/**
 * The layer that is computed when a share of all operations is done. The engine may go on with a layer before
 * the one before it has ended, so this is where most of the work is.
 */
export function layerAt({ layers }: Pick<PublishedPlan, 'layers'>, share: number): string | undefined {
  const total = layers.reduce((sum, { operations }) => sum + operations, 0)
  if (total === 0) return undefined
  let before = 0
  const at = layers.findIndex(({ operations }) => {
    before += operations
    return before > share * total
  })
  const place = at < 0 ? layers.length - 1 : at
  return `layer ${place + 1} of ${layers.length}: ${layers[place].name}`
}
