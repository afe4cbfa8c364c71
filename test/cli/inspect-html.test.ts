import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CIRCUITS } from '../../scripts/building/paths.ts'
import { readCircuit, writeCircuit } from '../../src/circuit/index.ts'
import type { PlanReport } from '../../src/compiler/index.ts'
import { counted } from '../../src/text/counted.ts'
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
import { failed, filesIn, polyveil, sourceOf } from './support.ts'

const QUIET = ['--json', '--quiet']
const directory = t.testdir()
const bundled = join(CIRCUITS, 'digits.pvc')
const refreshed = join(directory, 'refreshed.pvc')
const restored = join(directory, 'restored.pvc')

/** Writes the page of a circuit. @returns the page, and the document of `inspect --json` */
async function inspected(t: Test, circuit: string) {
  const file = join(directory, `${circuit === bundled ? 'bundled' : 'other'}.html`)
  const { code, json, stderr } = await polyveil(['inspect', circuit, '--html', file, ...QUIET])
  t.equal(code, 0, stderr)
  t.equal(json.html, file)
  const text = readFileSync(file, 'utf8')
  return { text, page: parsePage(text), json }
}

/** Expected rows of the page, computed from the numbers of `--json`. */
const expectedRows = ({ layers, rounds, restoration }: PlanReport): string[][] =>
  layers.map((layer, i) => [
    String(i + 1),
    layer.name,
    layer.kind,
    layer.shape.join(' × '),
    layer.reads.map((read) => read + 1).join(', '),
    String(layer.operations),
    String(layer.level),
    `2${layer.scaleBits.toFixed(1)}`,
    `${Math.round(100 * layer.slotsUsed)} %`,
    String(layer.rotations),
    String(layer.terms),
    String(layer.products),
    `${layer.precisionBits.toFixed(1)} bits`,
    `${layer.logitBits.toFixed(1)} bits`,
    layer.seconds.toFixed(3),
    ...(rounds.length > 0 ? [layer.refreshes > 0 ? String(layer.refreshes) : ''] : []),
    ...(restoration ? [layer.restorations > 0 ? String(layer.restorations) : ''] : []),
  ])

/** The height of a layer's bar in a chart, as a fraction of the axis. */
function barShare(chart: Element, tip: string): number {
  const column = named(chart, 'a').find((group) => textOf(named(group, 'title')[0]) === tip)
  const [all, bar] = named(column!, 'rect').map(({ attributes }) => Number(attributes.height))
  return bar === undefined ? 0 : bar / all
}

/** The number at the top of a chart's axis. */
const topOf = (chart: Element): number =>
  Number.parseFloat(
    textOf(
      elementsOf(chart)
        .filter(({ attributes }) => attributes.class === 'tick')
        .at(-1)!,
    ),
  )

function holdsPlan(t: Test, page: Element, plan: PlanReport): void {
  t.strictSame(rowsOf(byId(page, 'layers')).slice(1), expectedRows(plan))
  t.strictSame(named(byId(page, 'why'), 'li').map(textOf), plan.why)
  const rotations = byId(page, 'rotations')
  plan.layers.forEach(({ name, rotations: count }, i) => {
    const share = barShare(rotations, `${i + 1} ${name}: ${count} rotation${count === 1 ? '' : 's'}`)
    t.ok(
      Math.abs(share * topOf(rotations) - count) < 0.01 * topOf(rotations),
      `${count} rotations of ${name}`,
    )
  })
  const totals = textOf(byId(page, 'totals'))
  for (const part of [
    plan.rotations.toLocaleString('en'),
    plan.galoisKeys,
    plan.precisionBits.toFixed(1),
    plan.depthBits,
  ]) {
    t.match(totals, String(part))
  }
}

t.test('the page of a bundled network shows the whole plan', async (t) => {
  const { text, page, json } = await inspected(t, bundled)
  const { model, digest, manifest, plan } = json
  holdsPlan(t, page, plan)
  t.equal(textOf(named(page, 'title')[0]), `${model}: plan`)
  const header = textOf(named(page, 'header')[0])
  for (const part of [model, digest, manifest, plan.logQP.toFixed(2), '128 bits', 'one shot'])
    t.match(header, part)
  t.match(textOf(byId(page, 'totals')), plan.isMeasured ? 'measured on calibration images' : 'estimated')
  t.throws(() => byId(page, 'rounds'), 'without refreshes there is no chart of them')
  const input = textOf(byId(page, 'input'))
  for (const part of [
    'grey, the same in all channels',
    'to 56x56, bilinear',
    'mean 0.1307',
    '1 × 56 × 56 numbers',
  ])
    t.match(input, part)
  t.match(input, /1 ciphertext of 16 channels and 8,192 slots/)
  t.match(input, /[\d,]+ constants of [\d,]+ numbers together/)
  const boxes = named(byId(page, 'network'), 'a')
  t.strictSame(
    boxes.map(({ attributes }) => attributes.href),
    plan.layers.map((_: unknown, i: number) => `#layer-${i + 1}`),
  )
  t.equal(textOf(boxes[8]).trim(), '9 conv.outconv 48 × 14 × 14')
  t.ok(text.length < 100_000, `${text.length} characters`)
})

t.test('the page of a network with refreshes shows where they are', async (t) => {
  const made = await polyveil([
    ...['compile', ...sourceOf('micro_lr'), '--refresh', 'client', '--out', refreshed],
    ...['--speeds', 'reference', ...QUIET],
  ])
  t.equal(made.code, 0, made.stderr)
  const { page, json } = await inspected(t, refreshed)
  const plan: PlanReport = json.plan
  holdsPlan(t, page, plan)
  const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0)
  t.equal(sum(plan.layers.map(({ refreshes }) => refreshes)), sum(plan.rounds))
  const rounds = named(byId(page, 'rounds'), 'a').map((group) => textOf(named(group, 'title')[0]))
  t.strictSame(
    rounds,
    plan.rounds.map((count, i) => `round ${i + 1}: ${count} ciphertext${count === 1 ? '' : 's'}`),
  )
  const levels = byId(page, 'levels')
  const cut = plan.layers.findIndex(({ refreshes }) => refreshes > 0)
  const { level, lowestLevel, name } = plan.layers[cut]
  t.ok(lowestLevel < level, 'a refresh raises the level')
  t.match(
    textOf(levels),
    new RegExp(`${cut + 1} ${name}: level ${lowestLevel}, then \\d+ ciphertexts? refreshed to ${level}`),
  )
  const back = elementsOf(levels).filter(
    ({ name, attributes }) => name === 'rect' && attributes.class === 'back',
  )
  t.equal(back.length, plan.layers.filter(({ refreshes }) => refreshes > 0).length)
})

t.test('plan and page of a network whose server restores levels show where', async (t) => {
  const made = await polyveil([
    ...['compile', ...sourceOf('one_shot'), '--refresh', 'server', '--out', restored],
    ...['--ring', '32768', '--precision', '8', '--speeds', 'reference', ...QUIET],
  ])
  t.equal(made.code, 0, made.stderr)
  const { page, json } = await inspected(t, restored)
  const plan: PlanReport = json.plan
  t.strictSame(made.json.restoration, plan.restoration)
  holdsPlan(t, page, plan)
  const { ciphertexts, places, shape } = plan.restoration!
  t.equal(rowsOf(byId(page, 'layers'))[0].at(-1), 'restored')
  t.match(
    textOf(byId(page, 'totals')),
    `Restorations${ciphertexts}of ciphertexts at the server, in ${places} place`,
  )
  t.notMatch(textOf(named(page, 'header')[0]), /one shot/)
  t.notMatch(textOf(byId(page, 'totals')), /one shot|Refresh/)
  t.match(textOf(named(page, 'header')[0]), 'computed with levels that the server restores on the way')
  t.throws(() => byId(page, 'rounds'), 'without refreshes there is no chart of them')
  const levels = byId(page, 'levels')
  const at = plan.layers.findIndex(({ restorations }) => restorations > 0)
  const { level, lowestLevel, name } = plan.layers[at]
  t.match(
    textOf(levels),
    new RegExp(`${at + 1} ${name}: level ${lowestLevel}, then \\d+ ciphertexts? restored to ${level}`),
  )
  t.match(textOf(levels), 'brought back by a restoration')
  const back = elementsOf(levels).filter(
    ({ name, attributes }) => name === 'rect' && attributes.class === 'back',
  )
  t.equal(back.length, places)
  const text = (await polyveil(['inspect', restored])).stdout.toString()
  t.match(
    text,
    `bits of depth, levels of ${counted(ciphertexts, 'ciphertext')} restored at the server, in ${counted(places, 'place')}`,
  )
  t.notMatch(text, /one shot/)
  t.match(text, `with ${shape!.levels} levels between two restorations`)
})

t.test('the page loads nothing and runs nothing', async (t) => {
  const { text, page } = await inspected(t, bundled)
  t.strictSame(suspicious(page), [])
  t.notMatch(text, /https?:|src=|<script|url\(|@import|javascript:/i)
  const policy = named(page, 'meta').find(({ attributes }) => attributes['http-equiv'])
  t.equal(policy?.attributes['http-equiv'], 'Content-Security-Policy')
  t.equal(policy?.attributes.content, "default-src 'none'; style-src 'unsafe-inline'")
})

t.test('the page is accessible without its pictures', async (t) => {
  const { page } = await inspected(t, bundled)
  t.equal(page.attributes.lang, 'en')
  const ids = elementsOf(page).flatMap(({ attributes }) => attributes.id ?? [])
  t.equal(new Set(ids).size, ids.length, 'ids are unique')
  const regions = elementsOf(page).filter(({ attributes }) => attributes.class === 'scroll')
  t.equal(regions.length, 8, 'the graph, five charts and two tables')
  t.ok(regions.every(({ attributes }) => attributes.role === 'region' && attributes.tabindex === '0'))
  t.equal(new Set(regions.map(({ attributes }) => attributes['aria-label'])).size, regions.length)
  for (const region of regions) {
    const [drawing] = named(region, 'svg')
    if (drawing === undefined) continue
    t.equal(drawing.attributes['aria-hidden'], 'true')
    t.ok(
      named(drawing, 'a').every(({ attributes }) => attributes.tabindex === '-1'),
      'no stops in drawings',
    )
    t.match(textOf(named(region, 'p')[0]), /\d/, 'each drawing has a description in words')
  }
  for (const table of named(page, 'table')) {
    t.equal(named(table, 'caption').length, 1)
    t.ok(named(table, 'th').every(({ attributes }) => ['col', 'row'].includes(attributes.scope)))
  }
  for (const { attributes } of named(page, 'a')) t.ok(byId(page, attributes.href.slice(1)))
})

t.test('texts of a circuit are escaped', async (t) => {
  const circuit = readCircuit(new Uint8Array(readFileSync(bundled)))
  const names = [
    '<script>alert(1)</script>',
    '"&\' onload="x',
    '</svg><img src=x onerror=alert(1)>',
    '\u0000\u001b',
  ]
  const file = join(directory, 'hostile.pvc')
  const hostile = {
    ...circuit,
    model: names[0],
    labels: circuit.labels.map((_, i) => names[i % names.length]),
    layers: circuit.layers.map((layer, i) => ({ ...layer, name: names[i % names.length] })),
  }
  writeFileSync(file, writeCircuit(hostile))
  const { text, page, json } = await inspected(t, file)
  t.equal(json.model, names[0])
  t.strictSame(suspicious(page), [])
  t.notMatch(text, /<script|<img/)
  t.notOk(text.includes('\u001b'))
  t.equal(textOf(named(page, 'h1')[0]), names[0])
})

t.test('--html does not change stdout', async (t) => {
  const file = join(t.testdir(), 'page.html')
  for (const flags of [[], ['--text']]) {
    const without = await polyveil(['inspect', bundled, ...flags])
    const beside = await polyveil(['inspect', bundled, ...flags, '--html', file])
    t.equal(beside.stdout.toString(), without.stdout.toString())
    t.equal(beside.stderr, `${file}: ${readFileSync(file).length} bytes\n`)
  }
  const { html, ...document } = (await polyveil(['inspect', bundled, '--html', file, ...QUIET])).json
  t.equal(html, file)
  t.strictSame(document, (await polyveil(['inspect', bundled, ...QUIET])).json)
})

t.test('the page replaces an earlier one as a whole, and never overwrites the circuit', async (t) => {
  const folder = t.testdir({ taken: {}, 'page.html': 'an earlier page' })
  const at = (...path: string[]) => polyveil(['inspect', bundled, '--html', join(folder, ...path), ...QUIET])
  failed(t, await at('none', 'page.html'), 3, 'CONFIG_INVALID')
  failed(t, await at('taken'), 3, 'CONFIG_INVALID')
  const absent = await polyveil([
    'inspect',
    join(folder, 'absent.pvc'),
    '--html',
    join(folder, 'page.html'),
    ...QUIET,
  ])
  failed(t, absent, 3, 'CONFIG_INVALID')
  t.equal(readFileSync(join(folder, 'page.html'), 'utf8'), 'an earlier page')
  t.equal((await at('page.html')).code, 0)
  t.match(readFileSync(join(folder, 'page.html'), 'utf8'), /^<!DOCTYPE html>/)
  t.strictSame(filesIn(folder), ['page.html'], 'no temporary file is left')

  const circuit = join(folder, 'one.pvc')
  writeFileSync(circuit, readFileSync(bundled))
  const over = await polyveil([
    'inspect',
    circuit,
    '--html',
    join(folder, 'taken', '..', 'one.pvc'),
    ...QUIET,
  ])
  failed(t, over, 2, 'CONFIG_INVALID')
  t.match(over.json.error.message, 'would overwrite the circuit')
  t.equal((await polyveil(['inspect', circuit, ...QUIET])).code, 0)
})
