import { escapeText } from '../../text/escape-text.ts'

/** Characters of a host name that are shown; names of the domain name system have 253. */
const SHOWN_HOST = 255

/** A request that the service does not take because it came from elsewhere. */
export interface Refusal {
  /** The reason, as the end of a sentence: "it came by way of a proxy". */
  readonly why: string
  /** The header `Host`, which anybody may have written. */
  readonly host: string | undefined
  /** The port that the service listens on; undefined where it has none. */
  readonly port: number | undefined
}

/**
 * The page for people whose browser has been refused. It has no script and no style, since the content
 * security policy forbids them.
 */
export function refusalPage({ why, host, port }: Refusal): string {
  const address = `http://127.0.0.1${port === undefined ? '' : `:${port}`}/`
  const asked = host === undefined ? '' : ` at <code>${escapeText(host.slice(0, SHOWN_HOST))}</code>`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>PolyVeil: refused</title>
<h1>This service takes requests of its own machine only</h1>
<p>It refuses your request${asked}: ${escapeText(why)}.</p>
<ul>
<li>On the computer that runs the service, open <a href="${address}">${address}</a></li>
<li>Elsewhere, ask the operator of the service for access.</li>
</ul>
<h2>For the operator</h2>
<p>No setting says who may use the service, so it serves its own machine alone. To serve others, set <code>access</code>
(<code>POLYVEIL_ACCESS</code>) to <code>tokens</code>, which asks clients for tokens, or to <code>open</code>, which serves all
who reach it. Behind a proxy set <code>trustProxy</code> (<code>POLYVEIL_TRUST_PROXY</code>) as well.</p>
</html>
`
}
