import { type Circuit, manifestOf } from '../../../circuit/index.ts'
import { type PlanReport, planReport } from '../../../compiler/index.ts'
import { counted } from '../../../text/counted.ts'
import { VERSION } from '../../../version.ts'
import { glossary } from './glossary.ts'
import { networkFigure } from './graph/network-figure.ts'
import { type Ingredients, ingredientsOf, inputFacts } from './input-facts.ts'
import { kindTable } from './kind-table.ts'
import { layerCharts } from './layer-charts.ts'
import { layerTable } from './layer-table.ts'
import { Markup, markup, type Part } from './markup.ts'
import { roundChart } from './round-chart.ts'
import { STYLE } from './style.ts'
import { parametersInWords, totals } from './summary.ts'
import { wayOf } from './way.ts'

/** A circuit, as far as its page tells of it. */
export interface PlanSubject {
  readonly model: string
  readonly labels: readonly string[]
  /** Digests of the circuit's file and of its manifest. */
  readonly digest: string
  readonly manifest: string
  readonly plan: PlanReport
  readonly ingredients: Ingredients
}

/** What the page of a circuit tells. @param digest of the circuit's file, in hex */
export const planSubject = (circuit: Circuit, digest: string): PlanSubject => ({
  model: circuit.model,
  labels: circuit.labels,
  digest,
  manifest: manifestOf(circuit).digest,
  plan: planReport(circuit),
  ingredients: ingredientsOf(circuit),
})

/**
 * A plan as a page of its own: charts, tables and words. It loads nothing and runs nothing, so that it can be
 * opened from a disk and sent around; texts of the circuit, which can come from anybody, are escaped.
 */
export const planPage = (subject: PlanSubject): string => `<!DOCTYPE html>\n${document(subject)}\n`

/** Content security policy: the page may have styles, and nothing else. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'"

const document = (subject: PlanSubject): Markup => markup`<html lang="en">
<head>
<meta charset="utf-8" />
<meta http-equiv="Content-Security-Policy" content="${new Markup(POLICY)}" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<title>${subject.model}: plan</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
${head(subject)}
<main>
${section('input', 'What goes in', inputFacts(subject.ingredients))}
${section('totals', 'What an inference takes', totals(subject.plan))}
${section('network', 'The network', networkFigure(subject.plan))}
${section('charts', 'Layer by layer', [markup`<p>${AXIS}</p>\n`, layerCharts(subject.plan), roundChart(subject.plan)])}
${section('kinds', 'Where the time goes', kindTable(subject.plan))}
${section('why', 'Why it is as it is', reasons(subject.plan))}
${section('layers', 'All layers', layerTable(subject.plan))}
${section('terms', 'Terms', glossary())}
</main>
<footer>Written by polyveil ${VERSION} from the circuit alone. Figures of layers depend on the weights: what may be public of a
circuit is its manifest.</footer>
</body>
</html>`

const AXIS = markup`Layers stand from left to right in the order in which the server computes them, numbered as in <a href="#layers">the
table of all layers</a>; names under the axis are the parts of the network that they belong to. A column leads to its
number there.`

const section = (id: string, title: string, content: Part): Markup =>
  markup`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${content}
</section>`

const head = ({ model, labels, digest, manifest, plan }: PlanSubject): Markup => markup`<header>
<p class="eyebrow">PolyVeil plan</p>
<h1>${model}</h1>
<p class="lead">${lead(plan)}</p>
<dl class="identity">
<dt>Circuit</dt><dd><code>${digest}</code></dd>
<dt>Manifest</dt><dd><code>${manifest}</code></dd>
${labels.length > 0 ? markup`<dt>Classes</dt><dd>${labelsText(labels)}</dd>` : undefined}
</dl>
${parametersInWords(plan)}
<nav aria-label="Parts of this page"><ul>${PARTS.map(([id, text]) => markup`<li><a href="#${id}">${text}</a></li>`)}</ul></nav>
</header>`

const PARTS = [
  ['input', 'Input'],
  ['totals', 'Totals'],
  ['network', 'Network'],
  ['charts', 'Charts'],
  ['kinds', 'Time'],
  ['why', 'Why'],
  ['layers', 'Layers'],
  ['terms', 'Terms'],
] as const

function lead(plan: PlanReport): string {
  const { layers, rounds, batch } = plan
  const images = batch === 1 ? 'an encrypted image' : `${batch} encrypted images at once`
  const ways = {
    nobody: 'in one shot',
    client: `with ${counted(rounds.length, 'refresh round')} on the way`,
    server: 'with levels that the server restores on the way',
  }
  return `A neural network that classifies ${images} without seeing what is in it: ${counted(layers.length, 'layer')}, computed ${ways[wayOf(plan)]}.`
}

/** Number of labels that the page shows as examples. */
const SHOWN_LABELS = 20

function labelsText(labels: readonly string[]): string {
  const shown = labels.slice(0, SHOWN_LABELS).join(', ')
  return labels.length > SHOWN_LABELS ? `${shown} and ${labels.length - SHOWN_LABELS} more` : shown
}

const reasons = ({ why }: PlanReport): Markup =>
  markup`<ul class="why">${why.map((reason) => markup`<li>${reason}</li>\n`)}</ul>`
