import t from 'tap'
import { itemNumbers, roundStep, ticksOf, tickText } from '../../src/cli/output/plan-page/axis.ts'
import { columnsOf } from '../../src/cli/output/plan-page/columns.ts'
import { sideLines } from '../../src/cli/output/plan-page/graph/lanes.ts'
import { layerNodes, partNodes } from '../../src/cli/output/plan-page/graph/nodes.ts'
import { type Ingredients, ingredientsOf } from '../../src/cli/output/plan-page/input-facts.ts'
import { markup } from '../../src/cli/output/plan-page/markup.ts'
import { type PlanSubject, planPage } from '../../src/cli/output/plan-page/page.ts'
import { nameWithin, sectionsOf } from '../../src/cli/output/plan-page/sections.ts'
import { sizesText } from '../../src/cli/output/plan-page/texts.ts'
import { type LayerReport, type PlanReport, planReport } from '../../src/compiler/index.ts'
import { escapeText } from '../../src/text/escape-text.ts'
import { smallCircuit } from '../circuit/circuits.ts'
import {
  byId,
  type Element,
  elementsOf,
  named,
  parsePage,
  rowsOf,
  suspicious,
  textOf,
} from './markup-parser.ts'

// The parts of the page of `inspect --html`, and pages of artificial plans. test/cli/inspect-html.test.ts
// tests pages of real networks.

const small = planReport(smallCircuit())
const ingredients = ingredientsOf(smallCircuit())
const subjectOf = (plan: PlanReport, more: Partial<PlanSubject> = {}): PlanSubject => ({
  model: 'made up',
  labels: ['left', 'right'],
  digest: 'd'.repeat(64),
  manifest: 'e'.repeat(64),
  plan,
  ingredients,
  ...more,
})

/**
 * A plan as deep as those of the largest networks: levels fall by one from layer to layer, and are refreshed
 * at level 1.
 */
function deepPlan(count: number): PlanReport {
  const layers = Array.from({ length: count }, (_, i): LayerReport => {
    const refreshes = i % 4 === 3 ? 16 : 0
    return {
      ...small.layers[0],
      name: `cells.${Math.floor(i / 30)}.stack.${i % 30}`,
      level: refreshes > 0 ? 5 : 4 - (i % 4),
      lowestLevel: 4 - (i % 4),
      refreshes,
      // A chain, with a residual connection around every block of ten layers.
      reads: i === 0 ? [] : i % 10 === 9 ? [i - 9, i - 1] : [i - 1],
      rotations: i,
      seconds: i / 100,
    }
  })
  return { ...small, layers, rounds: Array.from({ length: count / 4 }, () => 16) }
}

t.test('text is escaped', async (t) => {
  t.equal(escapeText(`<b a="1" c='2'>&amp;`), '&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;')
  t.equal(escapeText('a\u0000b\u001bc\ud800d\u0085e\ufffe'), 'a\ufffdb\ufffdc\ufffdd\ufffde\ufffd')
  t.equal(escapeText('ä 😀\tü\n'), 'ä 😀\tü\n')
  const inner = markup`<i>${'<'}</i>`
  t.equal(
    String(markup`<p>${inner}${'&'}${[inner, 1]}${undefined}</p>`),
    '<p><i>&lt;</i>&amp;<i>&lt;</i>1</p>',
  )
})

t.test('axes have few ticks at round numbers', async (t) => {
  t.strictSame(ticksOf(11, 1), [0, 2, 4, 6, 8, 10, 12])
  t.strictSame(ticksOf(2, 1), [0, 1, 2])
  t.strictSame(ticksOf(0, 1), [0, 1])
  t.strictSame(ticksOf(100), [0, 20, 40, 60, 80, 100])
  for (let most = 1e-6; most < 1e9; most *= 1.7) {
    const ticks = ticksOf(most)
    t.ok(ticks.length >= 4 && ticks.length <= 9, `${most}: ${ticks}`)
    t.ok(ticks.at(-1)! >= most * (1 - 1e-9) && ticks.at(-2)! < most, `${most}: ${ticks}`)
  }
  t.equal(roundStep(0.3), 0.2)
  t.equal(roundStep(1000), 1000)
  t.equal(tickText(0.30000000000000004, 0.1), '0.3')
  t.equal(tickText(40, 20), '40')
  t.strictSame(itemNumbers(4, 1000, 32), [1, 2, 3, 4])
  t.strictSame(
    itemNumbers(100, 1000, 32),
    [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100],
  )
  for (const count of [1, 7, 33, 834, 5000, 1e6]) t.ok(itemNumbers(count, 1000, 32).length <= 34, `${count}`)
})

t.test('many layers share columns, in order and without gaps', async (t) => {
  for (const count of [0, 1, 21, 280, 281, 834, 10000]) {
    const columns = columnsOf(count)
    t.ok(columns.length <= 280, `${count}: ${columns.length}`)
    t.strictSame(
      columns.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i)),
      Array.from({ length: count }, (_, i) => i),
    )
  }
  t.equal(columnsOf(280).length, 280)
})

t.test('the parts of a network follow from the names of its layers', async (t) => {
  const names = [
    'input',
    'cells.0.a',
    'cells.0.stack.0.in',
    'cells.0.stack.0.out',
    'cells.1.a',
    'head.l',
    'head',
  ]
  t.strictSame(sectionsOf(names), [
    { name: 'input', from: 0, to: 1 },
    { name: 'cells.0', from: 1, to: 2 },
    { name: 'cells.0.stack.0', from: 2, to: 4 },
    { name: 'cells.1', from: 4, to: 5 },
    { name: 'head', from: 5, to: 7 },
  ])
  t.strictSame(
    sectionsOf(names, 3).map(({ name }) => name),
    ['input', 'cells.0', 'cells.1', 'head'],
    'parts of three layers stay whole',
  )
  const stages = Array.from({ length: 100 }, (_, i) => `stages.0.cells.${Math.floor(i / 10)}.conv${i}`)
  t.equal(sectionsOf(stages, 48).length, 10, 'a part that is too large is replaced by those within it')
  t.strictSame(sectionsOf([]), [])
  t.equal(nameWithin('cells.0.stack.0.in', 'cells.0.stack.0'), 'in')
  t.equal(nameWithin('reductions.1.0', 'reductions.1'), 'reductions.1.0', 'a number alone is no name')
  t.equal(nameWithin('head.l', 'head'), 'head.l')
  t.equal(sizesText([30, 30]), 'of 30 bits')
  t.equal(sizesText([28, 30, 30]), 'of 30 bits (2) and 28 bits (1)')
})

t.test('the parser of these tests detects faults', async (t) => {
  const page = planPage(subjectOf(small))
  t.doesNotThrow(() => parsePage(page))
  for (const [right, wrong] of [
    ['</h1>', '</h2>'],
    ['</h1>', ''],
    ['<h1>', '<h1 class=a>'],
    ['<h1>', '<h1>&'],
    ['<h1>', '<h1>a > b'],
    ['<h1>', '<h1 a="1" a="2">'],
    ['<html lang="en">', '<html lang="en"><html lang="en">'],
  ]) {
    t.throws(() => parsePage(page.replace(right, wrong)), wrong)
  }
  t.strictSame(suspicious(parsePage(page)), [])
  t.strictSame(suspicious(parsePage(page.replace('<h1>', '<h1 onclick="1"><script></script>'))), [
    'onclick',
    '<script>',
  ])
})

t.test('names with markup are shown as text', async (t) => {
  const hostile = [
    '<script>alert(1)</script>',
    '"&\' onload="x',
    '</title></style></svg><img src=x onerror=alert(1)>',
    ']]>--><!--',
    '\u0000\u001b[31m\ud800',
    '&lt;b&gt;',
  ]
  const layers = hostile.map((name) => ({ ...small.layers[0], name, kind: name }))
  const plan = { ...small, layers, why: hostile, rounds: [1, 2] }
  const page = parsePage(
    planPage(subjectOf(plan, { model: hostile[0], labels: hostile, digest: hostile[1] })),
  )
  t.strictSame(suspicious(page), [])
  t.equal(textOf(named(page, 'h1')[0]), hostile[0])
  const names = rowsOf(byId(page, 'layers'))
    .slice(1)
    .map((cells) => cells[1])
  t.strictSame(names.slice(0, 4), hostile.slice(0, 4))
  t.equal(names[4], '\ufffd\ufffd[31m\ufffd')
  t.equal(names[5], hostile[5])
})

t.test(
  'a page of 1500 layers has all of them in the table, columns in the charts, and less than 2.5 MB',
  async (t) => {
    const plan = deepPlan(1500)
    const text = planPage(subjectOf(plan))
    const page = parsePage(text)
    t.ok(text.length < 2_500_000, `${text.length} characters`)
    t.equal(rowsOf(byId(page, 'layers')).length, 1501)
    t.equal(rowsOf(byId(page, 'layers'))[0].at(-1), 'refreshed')
    for (const id of ['seconds', 'precision', 'rotations', 'slots']) {
      const columns = elementsOf(byId(page, id)).filter(({ attributes }) => attributes.class === 'all')
      t.equal(columns.length, 250, id)
      t.match(textOf(byId(page, id)), 'Each column stands for 6 layers', id)
    }
    t.match(textOf(byId(page, 'rotations')), '1 cells.0.stack.0 to 6 cells.0.stack.5: 15 rotations')
    const levels = byId(page, 'levels')
    t.equal(elementsOf(levels).filter(({ attributes }) => attributes.class === 'all').length, 1500)
    t.equal(named(levels, 'svg')[0].attributes.width, '19564', 'each layer has its own level and name')
    const texts = named(levels, 'text').map(textOf)
    t.ok(
      plan.layers.every(({ name }, i) => texts.includes(`${i + 1} ${name}`)),
      'in a wide chart',
    )
    t.match(textOf(levels), '8 cells.0.stack.7: level 1, then 16 ciphertexts refreshed to 5')
  },
)

t.test('plans with extreme figures are drawn', async (t) => {
  const [layer] = small.layers
  const layers = [
    { ...layer, precisionBits: -1e308, logitBits: 1e308, slotsUsed: 1e300, seconds: 0, rotations: 0 },
    { ...layer, shape: [], level: 0, lowestLevel: 0 },
  ]
  const page = planPage(subjectOf({ ...small, layers, seconds: 0, precisionBits: -3 }, { labels: [] }))
  t.doesNotThrow(() => parsePage(page))
  const drawn = named(parsePage(page), 'svg').map(({ children }) => children)
  t.notMatch(JSON.stringify(drawn), /"[xy12]+":"(NaN|-|Infinity)/)
})

/** A plan of layers that read those before them. */
const connected = (reads: readonly (readonly number[])[], names?: readonly string[]): PlanReport => ({
  ...small,
  layers: reads.map((own, i) => ({
    ...small.layers[0],
    name: names?.[i] ?? `layer${i}`,
    reads: own,
    products: 0,
  })),
})

t.test('lines at the side have lanes of their own, short ones next to the boxes', async (t) => {
  const nodes = [[], [0], [0, 1], [2], [0, 2, 3], [3], [4, 5]].map((reads) => ({ reads }))
  t.strictSame(sideLines(nodes), [
    { from: 0, to: [2, 4], lane: 2 },
    { from: 2, to: [4], lane: 0 },
    { from: 3, to: [5], lane: 1 },
    { from: 4, to: [6], lane: 0 },
  ])
  t.strictSame(sideLines([{ reads: [] }, { reads: [0] }]), [])
})

t.test('a part of a network is drawn with the layers outside that it reads', async (t) => {
  const names = ['stem', 'cells.0.a', 'cells.0.b', 'cells.1.a', 'cells.1.b']
  const { layers } = connected([[], [0], [0, 1], [0, 2], [3]], names)
  const parts = sectionsOf(names)
  const nodes = layerNodes(layers, parts[2], parts)
  t.match(nodes, [
    { name: '1 stem', look: 'outside', reads: [], target: 'layer-1' },
    { name: '3 cells.0.b', look: 'outside', reads: [], target: 'layer-3' },
    { name: '4 a', look: 'layer', reads: [0, 1], frame: 'cells.1' },
    { name: '5 b', look: 'layer', reads: [2], frame: 'cells.1' },
  ])
  t.match(partNodes(layers, parts), [
    { name: '1 stem', reads: [], target: 'layer-1' },
    { name: 'cells.0', reads: [0], target: 'part-2' },
    { name: 'cells.1', reads: [0, 1], target: 'part-3' },
  ])
})

/** Arrows of a graph: each has a head. */
const arrowsOf = (graph: Element): number =>
  named(graph, 'path')
    .filter(({ attributes }) => attributes.class.startsWith('head'))
    .reduce((sum, { attributes }) => sum + attributes.d.split('M').length - 1, 0)

/** Estimated from below: no fixed font has narrower characters. */
const NARROWEST = 6

t.test('the graph has an arrow for each connection, and boxes as wide as their texts', async (t) => {
  const reads = [[], [0], [0, 1], [2], [0, 2, 3], [3], [4, 5]]
  const long = `cells.0.${'deeply.nested.'.repeat(10)}conv`
  const plan = connected(reads, ['input', 'stem', 'cells.0.a', long, 'cells.0.b', 'c', 'head'])
  const network = byId(parsePage(planPage(subjectOf(plan))), 'network')
  const [graph] = named(network, 'svg')
  t.equal(arrowsOf(graph), reads.flat().length)
  t.equal(named(graph, 'a').length, reads.length)
  for (const box of named(graph, 'a')) {
    const [{ attributes }] = named(box, 'rect')
    t.ok(textOf(box).length * NARROWEST < Number(attributes.width), textOf(box))
    t.ok(Number(attributes.x) + Number(attributes.width) <= Number(graph.attributes.width))
  }
  t.match(textOf(graph), long.slice('cells.0.'.length))
})

t.test('a deep network is drawn by its parts, each with its layers', async (t) => {
  const plan = deepPlan(300)
  const page = parsePage(planPage(subjectOf(plan)))
  const [overview, ...insides] = named(byId(page, 'network'), 'svg')
  t.equal(named(overview, 'a').length, 10)
  t.equal(insides.length, 10)
  t.equal(
    insides.reduce((sum, inside) => sum + named(inside, 'a').length, 0),
    300 + 9,
    'all layers, and before each part the one that it reads',
  )
  t.equal(
    insides.reduce((sum, inside) => sum + arrowsOf(inside), 0),
    plan.layers.flatMap(({ reads }) => reads).length,
  )
  t.match(textOf(named(page, 'summary')[1]), 'cells.130 layers, 31 to 60')
  for (const { attributes } of named(page, 'a')) t.ok(byId(page, attributes.href.slice(1)))
})

t.test('the page tells how an input is made and packed', async (t) => {
  const textFor = (more: Partial<Ingredients['input']>): string => {
    const input = { ...ingredients.input, ...more }
    return textOf(
      byId(parsePage(planPage(subjectOf(small, { ingredients: { ...ingredients, input } }))), 'input'),
    )
  }
  const whole = textFor({})
  t.match(whole, 'rgbto 3x5, bicubic with antialiasmean 0.5 0.25 0.125, deviation 0.5 0.25 0.125')
  t.match(whole, '3 × 3 × 5 numbers of at most 8 in absolute value')
  t.match(whole, '2 ciphertexts of 2 channels and 4,096 slots')
  t.match(whole, 'two in a slot, as its real and its imaginary part')
  t.match(whole, '3 constants of 4,099 numbers together')
  t.notMatch(whole, 'Patches')
  t.match(textFor({ patch: 4 }), 'each 4 × 4 pixels become channels of one position')
  t.match(textFor({ preprocessing: null }), 'none: it takes preprocessed tensors, and no pictures')
})
