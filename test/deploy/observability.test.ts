import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { collectDefaultMetrics, Registry } from 'prom-client'
import t from 'tap'
import { parse } from 'yaml'
import { ROOT } from '../../scripts/building/paths.ts'
import { type RegisteredMetric, registeredMetrics } from '../../scripts/docs/metrics-table.ts'
import { ERROR_CODES } from '../../src/errors/index.ts'
import { harness } from '../server/support.ts'

// The rules for alerts and the dashboard use metrics and labels that the service really has.

const read = (path: string): string => readFileSync(join(ROOT, 'deploy', path), 'utf8')

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly annotations: Readonly<Record<string, string>>
}

interface Panel {
  readonly id: number
  readonly title: string
  readonly type: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

const { groups } = parse(read('prometheus/alerts.yaml')) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)
const dashboard = JSON.parse(read('grafana/polyveil.json')) as {
  panels: Panel[]
  templating: { list: { name: string; definition?: string }[] }
}
const targets = dashboard.panels.flatMap((panel) => panel.targets ?? [])

/** Labels that Prometheus adds to each series, and those of its own metric `up`. */
const OF_PROMETHEUS = ['job', 'instance']
/** What queries have beside metrics and labels. */
const WORDS = ['sum', 'by', 'rate', 'increase', 'histogram_quantile', 'or', 'label_values']

/** Labels of each series that the service has, by the name of the series. */
const series = new Map<string, readonly string[]>([['up', []]])
const usual = new Registry()
collectDefaultMetrics({ register: usual })
for (const metric of [...registeredMetrics(), ...usual.getMetricsAsArray()] as RegisteredMetric[]) {
  const { name, type, labelNames } = metric
  if (type !== 'histogram') series.set(name, labelNames)
  else {
    for (const part of ['sum', 'count']) series.set(`${name}_${part}`, labelNames)
    series.set(`${name}_bucket`, [...labelNames, 'le'])
  }
}

interface Use {
  readonly metric: string
  readonly labels: readonly string[]
}

/** The metrics of a query, with the labels that select and group them. */
function usesOf(query: string): readonly Use[] {
  const groupings = [...query.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => list.split(/, */))
  const bare = query.replaceAll(/\bby \([^)]*\)/g, '').replaceAll(/\[[^\]]*\]/g, '')
  const found = bare.matchAll(/\b([a-z_]+[a-z0-9_]*)\b(?:\{([^}]*)\})?/g)
  return [...found]
    .filter(([, word]) => !WORDS.includes(word))
    .map(([, metric, selectors = '']) => ({
      metric,
      labels: [...[...selectors.matchAll(/(\w+) *(?:=~|!=|!~|=)/g)].map(([, label]) => label), ...groupings],
    }))
}

/** What is wrong with a query. */
const faultsOf = (query: string): string[] =>
  usesOf(query).flatMap(({ metric, labels }) => {
    const own = series.get(metric)
    if (own === undefined) return [`${metric} is no metric`]
    const unknown = labels.filter((label) => !own.includes(label) && !OF_PROMETHEUS.includes(label))
    return unknown.map((label) => `${metric} has no label ${label}`)
  })

t.test('the check finds wrong metrics and labels', async (t) => {
  t.strictSame(faultsOf('sum by (model) (rate(polyveil_inferences_total{outcome="ok"}[5m])) / 2'), [])
  t.strictSame(faultsOf('polyveil_inference_total > 1'), ['polyveil_inference_total is no metric'])
  t.strictSame(faultsOf('polyveil_inference_seconds'), ['polyveil_inference_seconds is no metric'])
  t.strictSame(faultsOf('sum by (tenant) (polyveil_ready{job="x", outcome!="ok"})'), [
    'polyveil_ready has no label outcome',
    'polyveil_ready has no label tenant',
  ])
})

t.test('alerts', async (t) => {
  const names = ['Down', 'NotReady', 'QueueTooLong', 'WorkerLost', 'DiskFull', 'ErrorRate']
  for (const name of names)
    t.ok(
      rules.some(({ alert }) => alert === `PolyVeil${name}`),
      name,
    )
  for (const { alert, expr, annotations } of rules) {
    t.ok(usesOf(expr).length > 0, alert)
    t.strictSame(faultsOf(expr), [], alert)
    t.ok(
      usesOf(expr).every(({ labels }) => labels.includes('job')),
      `${alert} is of one job`,
    )
    const shown = Object.values(annotations).flatMap((text) => [...text.matchAll(/\$labels\.(\w+)/g)])
    for (const [, label] of shown) {
      const known = usesOf(expr).every(({ metric, labels }) =>
        [...series.get(metric)!, ...labels, 'instance'].includes(label),
      )
      t.ok(known, `${alert} shows ${label}`)
    }
  }
  const outcomes = rules.flatMap(({ expr }) => [...expr.matchAll(/outcome=~"([^"]*)"/g)])
  t.ok(outcomes.length > 0)
  for (const [, list] of outcomes) for (const code of list.split('|')) t.ok(code in ERROR_CODES, code)
})

t.test('dashboard', async (t) => {
  t.ok(targets.length > 30)
  const variables = dashboard.templating.list.flatMap(({ definition }) => definition ?? [])
  t.ok(variables.length > 0)
  for (const { expr } of targets) t.strictSame(faultsOf(expr), [], expr)
  for (const definition of variables) {
    t.strictSame(faultsOf(definition.replace(/, *job\)/, ')')), [], definition)
  }
  for (const { expr, legendFormat } of targets) {
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
      const isGrouped = expr.includes(' by (')
      for (const { metric, labels } of usesOf(expr)) {
        const known = isGrouped ? labels : [...series.get(metric)!, ...OF_PROMETHEUS]
        t.ok(known.includes(label), `${expr} has ${label} for its legend`)
      }
    }
  }
})

t.test('the dashboard shows every metric of the service, and panels do not overlap', async (t) => {
  const shown = new Set(targets.flatMap(({ expr }) => usesOf(expr).map(({ metric }) => metric)))
  const left = registeredMetrics().filter(
    ({ name }) => !['', '_count', '_sum', '_bucket'].some((ending) => shown.has(name + ending)),
  )
  t.strictSame(
    left.map(({ name }) => name),
    [],
  )
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
  const taken = new Set<string>()
  for (const { gridPos, title } of dashboard.panels) {
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        t.notOk(taken.has(`${x},${y}`) || x >= 24, title)
        taken.add(`${x},${y}`)
      }
    }
  }
})

t.test('metrics follow the rules of Prometheus, and a service has those that the table lists', async (t) => {
  for (const { name, type, help } of registeredMetrics()) {
    t.match(name, /^polyveil_[a-z]+(_[a-z]+)*$/)
    t.equal(type === 'counter', name.endsWith('_total'), `${name} is a ${type}`)
    if (type === 'histogram') t.match(name, /_seconds$/)
    t.notMatch(help, /\.$/)
  }
  const h = await harness(t)
  const { body } = await h.inject({ url: '/metrics' })
  const served = [...body.matchAll(/^# HELP (polyveil_\w+)/gm)].map(([, name]) => name)
  t.strictSame(
    served.sort(),
    registeredMetrics()
      .map(({ name }) => name)
      .sort(),
  )
})
