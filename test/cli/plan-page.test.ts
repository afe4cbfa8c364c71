import t from 'tap'
import { itemNumbers, roundStep, ticksOf, tickText } from '../../src/cli/output/plan-page/axis.ts'
import { columnsOf } from '../../src/cli/output/plan-page/columns.ts'
import { escapeText } from '../../src/cli/output/plan-page/escape.ts'
import { markup } from '../../src/cli/output/plan-page/markup.ts'
import { type PlanSubject, planPage } from '../../src/cli/output/plan-page/page.ts'
import { sectionsOf } from '../../src/cli/output/plan-page/sections.ts'
import { sizesText } from '../../src/cli/output/plan-page/texts.ts'
import { type LayerReport, type PlanReport, planReport } from '../../src/compiler/index.ts'
import { smallCircuit } from '../circuit/circuits.ts'
import { byId, elementsOf, named, parsePage, rowsOf, suspicious, textOf } from './markup-parser.ts'

// The parts of the page of `inspect --html`, and pages of artificial plans. test/cli/inspect-html.test.ts
// tests pages of real networks.

const small = planReport(smallCircuit())
const subjectOf = (plan: PlanReport, more: Partial<PlanSubject> = {}): PlanSubject => ({
  model: 'made up',
  labels: ['left', 'right'],
  preprocessing: null,
  digest: 'd'.repeat(64),
  manifest: 'e'.repeat(64),
  plan,
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
  t.strictSame(sectionsOf(['input', 'cells.0.a', 'cells.0.b.c', 'cells.1.a', 'head']), [
    { name: 'input', from: 0, to: 1 },
    { name: 'cells.0', from: 1, to: 3 },
    { name: 'cells.1', from: 3, to: 4 },
    { name: 'head', from: 4, to: 5 },
  ])
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
  'a page of 1500 layers has all of them in the table, columns in the charts, and less than 2 MB',
  async (t) => {
    const plan = deepPlan(1500)
    const text = planPage(subjectOf(plan))
    const page = parsePage(text)
    t.ok(text.length < 2_000_000, `${text.length} characters`)
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
    t.equal(named(levels, 'svg')[0].attributes.width, '6056', 'each layer has its own level in a wide chart')
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
