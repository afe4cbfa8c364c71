import t from 'tap'
import { manifest } from '../client/fake-server.ts'
import { harness } from '../server/support.ts'
import { page } from './support.ts'

const text = page('docs/http-api.md')
const [, ...sections] = text.split(/^#+ /m)
const section = (heading: string): string => sections.find((part) => part.startsWith(`${heading}\n`)) ?? ''

/** First and last cells of a table's rows. */
const rows = (markdown: string): string[][] =>
  [...markdown.matchAll(/^\| ((?:`|\d).*) \|$/gm)].map(([, row]) => row.split(' | '))

t.test('docs/http-api.md has exactly the routes of the OpenAPI document', async (t) => {
  const h = await harness(t)
  const { paths } = (await h.inject({ url: '/openapi.json' })).json()
  const served = Object.entries(paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const documented = rows(section('HTTP API')).map(([route]) => route.replaceAll('`', ''))
  t.strictSame(documented.sort(), served.sort())
})

/** Statuses that the page describes for all routes together. */
const OF_ALL = ['400', '401', '403', '408', '413', '414', '415', '429', '431', '500', '503']

t.test('docs/http-api.md has the statuses of each route', async (t) => {
  const h = await harness(t)
  const { paths } = (await h.inject({ url: '/openapi.json' })).json()
  for (const [route, , answers] of rows(section('HTTP API'))) {
    const [method, path] = route.replaceAll('`', '').split(' ')
    const own = (statuses: string[]) => statuses.filter((status) => !OF_ALL.includes(status)).sort()
    const served = Object.keys(paths[path][method.toLowerCase()].responses)
    t.strictSame(own(answers.match(/\b\d{3}\b/g) ?? []), own(served), route)
  }
  const described = rows(section('Errors')).map(([status]) => status)
  t.strictSame(
    OF_ALL.filter((status) => !described.includes(status)),
    [],
  )
})

t.test('docs/http-api.md has every field of the manifest', async (t) => {
  const named = section('The manifest').matchAll(/`(\w+)`/g)
  const words = new Set([...named].map(([, word]) => word))
  const { parameters, input, output } = manifest
  for (const [place, fields] of Object.entries({ manifest, parameters, input, output })) {
    for (const field of Object.keys(fields)) t.ok(words.has(field), `${place}: ${field}`)
  }
})
