/** An element of a page. */
export interface Element {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly (Element | string)[]
}

interface Growing extends Element {
  readonly children: (Element | string)[]
}

const ATTRIBUTES = /^(?: [a-z][a-zA-Z0-9-]*="(?:[^<>"&]|&(?:amp|lt|gt|quot|#39);)*")*$/
const ATTRIBUTE = / ([a-zA-Z0-9-]+)="([^"]*)"/g
/** HTML permits a bare `>` in text. The pages escape it everywhere except in styles. */
const TEXT = /^(?:[^<>&]|&(?:amp|lt|gt|quot|#39);)*$/
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }

/**
 * Reads a page that is both XML and HTML. It is stricter than either: every element is closed, every
 * attribute is quoted and unique, and every special character is one of five entities.
 *
 * @throws Error with the place where the page is not well-formed
 */
export function parsePage(page: string): Element {
  const top: Growing = { name: '', attributes: {}, children: [] }
  const open: Growing[] = [top]
  let at = '<!DOCTYPE html>\n'.length
  if (!page.startsWith('<!DOCTYPE html>\n')) throw new Error('no doctype')
  for (const tag of page.matchAll(/<(\/?)([a-zA-Z0-9]+)([^<>]*?)( ?\/)?>/g)) {
    const [whole, slash, name, attributes, selfClosing] = tag
    text(open.at(-1)!, page.slice(at, tag.index))
    at = tag.index + whole.length
    if (slash) close(open, name, attributes)
    else {
      const element: Growing = { name, attributes: attributesOf(attributes), children: [] }
      open.at(-1)!.children.push(element)
      if (!selfClosing) open.push(element)
    }
  }
  if (open.length !== 1) throw new Error(`${open.at(-1)!.name} is not closed`)
  if (page.slice(at).trim() !== '' || top.children.length !== 1) throw new Error('not one element')
  return top.children[0] as Element
}

function close(open: Growing[], name: string, rest: string): void {
  const last = open.pop()!
  if (last.name !== name || rest !== '') throw new Error(`</${name}${rest}> closes ${last.name}`)
}

function text(parent: Growing, written: string): void {
  if (written === '') return
  const isRight = parent.name === 'style' ? !/[<&]/.test(written) : TEXT.test(written)
  if (!isRight) throw new Error(`not escaped in ${parent.name}: ${JSON.stringify(written.slice(0, 200))}`)
  if (parent.name === '' && written.trim() !== '') throw new Error(`outside: ${written.slice(0, 200)}`)
  parent.children.push(decoded(written))
}

function attributesOf(written: string): Record<string, string> {
  if (!ATTRIBUTES.test(written)) throw new Error(`attributes: ${JSON.stringify(written.slice(0, 200))}`)
  const pairs = [...written.matchAll(ATTRIBUTE)].map(([, name, value]) => [name, decoded(value)] as const)
  if (new Set(pairs.map(([name]) => name)).size !== pairs.length) throw new Error(`twice in${written}`)
  return Object.fromEntries(pairs)
}

const decoded = (written: string): string =>
  written.replace(/&([a-z0-9#]+);/g, (_, entity: string) => ENTITIES[entity])

/** An element and all its descendants. */
export const elementsOf = (element: Element): Element[] => [
  element,
  ...element.children.flatMap((child) => (typeof child === 'string' ? [] : elementsOf(child))),
]

/** All text of an element. */
export const textOf = (element: Element): string =>
  element.children.map((child) => (typeof child === 'string' ? child : textOf(child))).join('')

/** The element of a page with an id. @throws Error when there is not exactly one */
export function byId(page: Element, id: string): Element {
  const found = elementsOf(page).filter(({ attributes }) => attributes.id === id)
  if (found.length !== 1) throw new Error(`${found.length} elements are #${id}`)
  return found[0]
}

/** The descendants of an element with a name. */
export const named = (element: Element, name: string): Element[] =>
  elementsOf(element).filter((inner) => inner.name === name)

/** The cells of each row of a table, as text. */
export const rowsOf = (element: Element): string[][] =>
  named(element, 'tr').map((row) =>
    elementsOf(row)
      .filter(({ name }) => name === 'td' || name === 'th')
      .map(textOf),
  )

const ELEMENTS = new Set(
  (
    'html head meta title style body header main section nav footer h1 h2 h3 p a b i code ul li dl dt dd div span ' +
    'figure figcaption svg g line rect path text table caption thead tbody tr th td sup ol details summary'
  ).split(' '),
)
const NAMES = new Set(
  (
    'lang charset http-equiv content name id class href role tabindex scope aria-label aria-labelledby viewBox x y x1 x2 y1 ' +
    'y2 d width height rx transform aria-hidden'
  ).split(' '),
)

/**
 * Elements and attributes of a page that could load or run something, or that are not known to be harmless.
 */
export const suspicious = (page: Element): string[] =>
  elementsOf(page).flatMap(({ name, attributes, children }) => [
    ...(ELEMENTS.has(name) ? [] : [`<${name}>`]),
    ...Object.keys(attributes).filter((attribute) => !NAMES.has(attribute)),
    ...('href' in attributes && !/^#[a-z]+(-\d+(-[a-z]+)?)?$/.test(attributes.href) ? [attributes.href] : []),
    ...(name === 'style' && /url\(|@import|expression/.test(children.join('')) ? ['style loads'] : []),
  ])
