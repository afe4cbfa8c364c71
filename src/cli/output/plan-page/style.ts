/** The page's whole style. Colours are named once for light and once for dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --raised: #f6f7f9; --ink: #1b2430; --soft: #5b6776; --rule: #dfe3e9;
  --bar: #3a6ea5; --back: #d98b3a; --second: #7d8896; --hover: rgba(58, 110, 165, 0.09);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12171e; --raised: #1a2129; --ink: #e4e9f0; --soft: #9aa6b5; --rule: #2c3540;
    --bar: #74a5da; --back: #e6a45f; --second: #93a0af; --hover: rgba(116, 165, 218, 0.13);
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0 auto; padding: 3rem 1.5rem 5rem; max-width: 74rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
header p, section > p, section > ul { max-width: 46rem; }
h1, h2, h3 { line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h1 { font-size: 2.25rem; font-weight: 650; letter-spacing: -0.02em; }
h2 { font-size: 1.35rem; font-weight: 650; letter-spacing: -0.01em; margin: 3.5rem 0 1rem; }
h3 { font-size: 1.02rem; font-weight: 650; }
p { margin: 0.5rem 0; }
a { color: var(--bar); text-underline-offset: 0.2em; }
code { font: 0.86em ui-monospace, "SF Mono", Menlo, Consolas, monospace; unicode-bidi: isolate; overflow-wrap: anywhere; }
.eyebrow { margin: 0 0 0.35rem; color: var(--soft); font-size: 0.8rem; letter-spacing: 0.09em; text-transform: uppercase; }
.lead { font-size: 1.1rem; margin: 0.75rem 0 1.25rem; }
.identity { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1rem; margin: 1rem 0; font-size: 0.88rem; }
.identity dt, .facts dt { color: var(--soft); }
.identity dd { margin: 0; overflow-wrap: anywhere; }
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
.scroll { overflow-x: auto; }
svg { display: block; width: 100%; min-width: 44rem; height: auto; }
svg.wide { width: auto; max-width: none; }
svg text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
.tick { text-anchor: end; }
.number, .section { text-anchor: middle; }
.base { stroke: var(--soft); stroke-width: 1; }
.grid { stroke: var(--rule); stroke-width: 1; }
.span { stroke: var(--rule); stroke-width: 2; }
rect { shape-rendering: crispEdges; }
rect.bar { fill: var(--bar); }
rect.back { fill: var(--back); }
rect.all { fill: transparent; }
g:hover > rect.all { fill: var(--hover); }
path.line, path.second { fill: none; stroke: var(--bar); stroke-width: 1.75; stroke-linejoin: round; pointer-events: none; }
path.second { stroke: var(--second); stroke-width: 1; }
line.goal { stroke: var(--back); stroke-width: 1.5; stroke-dasharray: 5 4; pointer-events: none; }
table { border-collapse: collapse; width: 100%; font-size: 0.8rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: 0.9rem; padding-bottom: 0.5rem; }
th, td { padding: 0.3rem 0.55rem 0.3rem 0; text-align: left; font-weight: 400; border-bottom: 1px solid var(--rule); vertical-align: baseline; white-space: nowrap; }
tbody th code { overflow-wrap: normal; }
thead th { color: var(--soft); font-weight: 600; border-bottom-color: var(--soft); }
.number { text-align: right; }
th:last-child, td:last-child { padding-right: 0.2rem; }
tr.refreshed > :last-child { color: var(--back); font-weight: 600; }
tbody tr:hover { background: var(--raised); }
sup { font-size: 0.78em; line-height: 0; }
.why { padding-left: 1.1rem; }
.why li { margin: 0.3rem 0; }
.terms { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1.1rem 2rem; margin: 0; }
.terms dt { font-weight: 650; }
.terms dd { margin: 0.15rem 0 0; color: var(--soft); font-size: 0.92rem; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--rule); color: var(--soft); font-size: 0.84rem; }
@media print {
  :root { color-scheme: light; --paper: #ffffff; --raised: #f3f4f6; --ink: #000000; --soft: #444b55; --rule: #cfd4da; --bar: #3a6ea5; --back: #c9741f; --second: #666f7b; }
  body { max-width: none; padding: 0; font-size: 9.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav { display: none; }
  .scroll { overflow: visible; }
  svg, svg.wide { min-width: 0; width: 100%; }
  figure, .facts div, .terms div, tr { break-inside: avoid; }
  h2, h3, figcaption { break-after: avoid; }
  table { font-size: 6.5pt; }
  th, td { padding-right: 0.4rem; white-space: normal; }
}
`
