import { escapeText } from '../../text/escape-text.ts'

const TITLES: Readonly<Record<string, string>> = {
  documentation: 'the HTTP API, as a page',
  openapi: 'the same as an OpenAPI document',
  metadata: 'name, version and extensions of this server',
  models: 'the models, with their sizes',
  health: 'whether inferences are taken',
}

/**
 * The page at the root, which describes the service and links to its documentation. It has no script and no
 * style, since the content security policy forbids them.
 *
 * @param models names of the served models; absent where clients need a token to see them
 * @param links relative addresses
 */
export function homePage(
  version: string,
  models: readonly string[] | undefined,
  links: Readonly<Record<string, string>>,
): string {
  const items = Object.entries(links).map(
    ([name, href]) => `<li><a href="${href}">${href}</a>: ${TITLES[name] ?? name}</li>`,
  )
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>PolyVeil</title>
<h1>PolyVeil ${escapeText(version)}</h1>
<p>This service classifies images that it never sees. Clients encrypt an image, the service evaluates a network on the
encrypted image, and only the client can decrypt the answer. It is used by the command line
(<code>polyveil classify IMAGE --url ADDRESS --model NAME</code>) and by programs (<code>polyveil/client</code>), not with a
browser alone.</p>
<p>${modelsText(models)}</p>
<ul>
${items.join('\n')}
</ul>
</html>
`
}

function modelsText(models: readonly string[] | undefined): string {
  if (models === undefined) return 'Clients need a token, which the operator of the service gives.'
  return `Models: ${models.map((name) => `<code>${escapeText(name)}</code>`).join(', ')}`
}
