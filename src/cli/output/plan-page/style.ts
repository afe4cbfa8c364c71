/** The page's whole style. Colours are named once for light and once for dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --raised: #f6f7f9; --ink: #1b2430; --soft: #5b6776; --rule: #dfe3e9;
  --bar: #3a6ea5; --back: #d98b3a; --second: #7d8896; --hover: rgba(58, 110, 165, 0.09);
  --mark: #fff1cc; --shade: rgba(27, 36, 48, 0.28); --clear: rgba(255, 255, 255, 0);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12171e; --raised: #1a2129; --ink: #e4e9f0; --soft: #9aa6b5; --rule: #2c3540;
    --bar: #74a5da; --back: #e6a45f; --second: #93a0af; --hover: rgba(116, 165, 218, 0.13);
    --mark: #45391a; --shade: rgba(154, 166, 181, 0.5); --clear: rgba(18, 23, 30, 0);
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
body {
  margin: 0 auto; padding: 3rem 1.5rem 5rem; max-width: 74rem; overflow-wrap: anywhere; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
header p, section > p, section > ul { max-width: 46rem; }
h1, h2, h3 { line-height: 1.2; margin: 0; }
h1 { font-size: 2.25rem; font-weight: 650; letter-spacing: -0.02em; }
h2 { font-size: 1.35rem; font-weight: 650; letter-spacing: -0.01em; margin: 3.5rem 0 1rem; }
h3 { font-size: 1.02rem; font-weight: 650; }
p { margin: 0.5rem 0; }
a { color: var(--bar); text-underline-offset: 0.2em; }
code { font: 0.86em ui-monospace, "SF Mono", Menlo, Consolas, monospace; unicode-bidi: isolate; }
.eyebrow { margin: 0 0 0.35rem; color: var(--soft); font-size: 0.8rem; letter-spacing: 0.09em; text-transform: uppercase; }
.lead { font-size: 1.1rem; margin: 0.75rem 0 1.25rem; }
.identity { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1rem; margin: 1rem 0; font-size: 0.88rem; }
.identity dt, .facts dt { color: var(--soft); }
.identity dd { margin: 0; max-width: 46rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; margin: 1.5rem 0 0; padding: 0.75rem 0 0; border-top: 1px solid var(--rule); font-size: 0.92rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 0.75rem; margin: 0; }
.facts div { background: var(--raised); border-radius: 0.5rem; padding: 0.8rem 1rem 0.85rem; }
.facts dt { font-size: 0.84rem; }
.facts dd { margin: 0; }
.facts b { display: block; font-size: 1.35rem; font-weight: 600; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; }
.facts span { display: block; color: var(--soft); font-size: 0.82rem; line-height: 1.35; }
figure { margin: 1.5rem 0 2.25rem; }
figcaption p { color: var(--soft); font-size: 0.9rem; margin: 0.2rem 0 0.5rem; max-width: 46rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1.25rem; list-style: none; margin: 0 0 0.5rem; padding: 0; font-size: 0.84rem; color: var(--soft); }
.key { display: inline-block; width: 0.8rem; height: 0.8rem; margin-right: 0.45rem; border-radius: 2px; vertical-align: -0.05rem; }
.key.bar { background: var(--bar); }
.key.back { background: var(--back); }
.key.line, .key.second, .key.goal { height: 0; width: 1.2rem; border-radius: 0; vertical-align: 0.25rem; border-top: 2px solid var(--bar); }
.key.second { border-top-color: var(--second); border-top-width: 1px; }
.key.goal { border-top: 2px dashed var(--back); }
.scroll {
  overflow-x: auto; background-color: var(--paper); background-repeat: no-repeat;
  background-image: linear-gradient(to right, var(--paper) 40%, var(--clear)), linear-gradient(to left, var(--paper) 40%, var(--clear)),
    linear-gradient(to right, var(--shade), transparent), linear-gradient(to left, var(--shade), transparent);
  background-position: left, right, left, right; background-size: 2.5rem 100%, 2.5rem 100%, 0.8rem 100%, 0.8rem 100%;
  background-attachment: local, local, scroll, scroll;
  position: relative;
}
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
.spoken { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
svg { display: block; }
.chart { width: 100%; min-width: 60rem; height: auto; }
.chart.wide { width: auto; max-width: none; }
.network { display: grid; grid-template-columns: minmax(0, max-content) minmax(0, 1fr); gap: 1.5rem 3rem; align-items: start; }
.reading p { color: var(--soft); font-size: 0.9rem; margin: 0 0 0.6rem; max-width: 30rem; }
.frame { fill: var(--hover); stroke: var(--rule); }
.frame-name { text-anchor: end; }
.node rect { fill: var(--paper); stroke: var(--second); }
.node.product rect { stroke: var(--bar); stroke-width: 2; }
.node.part rect { fill: var(--raised); }
.node.outside rect { stroke-dasharray: 4 3; }
.node:hover rect { fill: var(--hover); }
svg .node text { font: 11px ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
svg .node .name { fill: var(--ink); }
.detail { text-anchor: end; }
.edge { fill: none; stroke: var(--soft); stroke-width: 1.25; }
.head { fill: var(--soft); }
.edge.side { stroke: var(--bar); }
.head.side { fill: var(--bar); }
details { border-top: 1px solid var(--rule); }
details:last-child { border-bottom: 1px solid var(--rule); }
summary { cursor: pointer; padding: 0.45rem 0; font-size: 0.92rem; }
summary span { color: var(--soft); font-size: 0.84rem; margin-left: 0.75rem; }
details > .scroll { margin: 0.25rem 0 1rem; }
.steps { margin: 0; padding-left: 1.2rem; }
.key.box { background: var(--paper); border: 2px solid var(--bar); }
svg text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
.tick { text-anchor: end; }
.number, .section { text-anchor: middle; }
.upward { text-anchor: end; }
.base { stroke: var(--soft); stroke-width: 1; }
.grid { stroke: var(--rule); stroke-width: 1; }
.span { stroke: var(--rule); stroke-width: 2; }
rect { shape-rendering: crispEdges; }
rect.bar { fill: var(--bar); }
rect.back { fill: var(--back); }
rect.all { fill: transparent; }
a:hover > rect.all { fill: var(--hover); }
path.line, path.second { fill: none; stroke: var(--bar); stroke-width: 1.75; stroke-linejoin: round; pointer-events: none; }
path.second { stroke: var(--second); stroke-width: 1; }
line.goal { stroke: var(--back); stroke-width: 1.5; stroke-dasharray: 5 4; pointer-events: none; }
table { border-collapse: collapse; width: 100%; font-size: 0.8rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; white-space: nowrap; color: var(--soft); font-size: 0.9rem; padding-bottom: 0.5rem; }
th, td { padding: 0.3rem 0.4rem 0.3rem 0; text-align: left; font-weight: 400; border-bottom: 1px solid var(--rule); vertical-align: baseline; white-space: nowrap; }
tbody th code { overflow-wrap: normal; }
thead th { color: var(--soft); font-weight: 600; border-bottom-color: var(--soft); }
.number { text-align: right; }
th:last-child, td:last-child { padding-right: 0.2rem; }
tr.renewed > :last-child { color: var(--back); font-weight: 600; }
tbody tr:hover { background: var(--hover); }
tbody tr, td { scroll-margin: 5rem 0.5rem; }
tbody th { position: sticky; left: 0; background: var(--paper); }
tbody tr:target, tbody tr:has(:target), tr:target th, tr:has(:target) th { background: var(--mark); }
td:target { outline: 2px solid var(--back); outline-offset: -1px; }
details table { width: auto; }
details th, details td { padding-right: 1.5rem; }
sup { font-size: 0.78em; line-height: 0; }
.why { padding-left: 1.1rem; }
.why li { margin: 0.3rem 0; }
.terms { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1.1rem 2rem; margin: 0; }
.terms dt { font-weight: 650; }
.terms dd { margin: 0.15rem 0 0; color: var(--soft); font-size: 0.92rem; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--rule); color: var(--soft); font-size: 0.84rem; }
@media (max-width: 60rem) {
  .network { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 40rem) {
  body { padding: 1.75rem 1rem 3rem; }
  h1 { font-size: 1.8rem; }
  .identity { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .identity dd { margin-bottom: 0.5rem; }
  .facts { grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
  .terms { grid-template-columns: minmax(0, 1fr); }
  table { width: max-content; min-width: 100%; }
  caption { white-space: normal; max-width: 21rem; }
}
@media print {
  :root { color-scheme: light; --paper: #ffffff; --raised: #f3f4f6; --ink: #000000; --soft: #444b55; --rule: #cfd4da; --bar: #3a6ea5; --back: #c9741f; --second: #666f7b; --mark: #ffffff; }
  body { max-width: none; padding: 0; font-size: 9.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav { display: none; }
  .scroll { overflow: visible; background: none; }
  .chart, .chart.wide { min-width: 0; width: 100%; }
  .graph { max-width: 100%; height: auto; }
  figure, .facts div, .terms div, tr { break-inside: avoid; }
  h2, h3, figcaption { break-after: avoid; }
  table { font-size: 6.5pt; }
  th, td { padding-right: 0.4rem; white-space: normal; }
}
`
