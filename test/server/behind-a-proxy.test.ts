import t from 'tap'
import { harness, isProblem } from './support.ts'

const from = (address: string) => ({
  url: '/v2',
  remoteAddress: '10.0.0.1',
  headers: { 'x-forwarded-for': address },
})

t.test('by default the server trusts no proxy for the address of a client', async (t) => {
  const h = await harness(t, { security: { requestsPerMinute: 2 } })
  for (const address of ['192.0.2.1', '192.0.2.2']) {
    t.equal((await h.inject(from(address))).statusCode, 200)
  }
  isProblem(t, await h.inject(from('192.0.2.3')), 429, 'TOO_BUSY')
  t.notMatch(h.log(), '192.0.2.')
})

t.test('limits and log use the client addresses that a trusted proxy reports', async (t) => {
  for (const trustProxy of [['10.0.0.0/8'], 1, true]) {
    const h = await harness(t, { security: { requestsPerMinute: 2 }, trustProxy })
    for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.2']) {
      t.equal((await h.inject(from(address))).statusCode, 200, address)
    }
    isProblem(t, await h.inject(from('192.0.2.1')), 429, 'TOO_BUSY')
    t.match(h.log(), '"remoteAddress":"192.0.2.1"')
  }
  const h = await harness(t, { security: { requestsPerMinute: 1 }, trustProxy: ['127.0.0.1'] })
  await h.inject(from('192.0.2.1'))
  isProblem(t, await h.inject(from('192.0.2.2')), 429, 'TOO_BUSY')
  const hop = await harness(t, { trustProxy: 1 })
  await hop.inject(from('203.0.113.9, 192.0.2.7'))
  t.match(hop.log(), '"remoteAddress":"192.0.2.7"', 'addresses that the client itself claims are ignored')
})

t.test('the server ignores ports that a proxy adds to addresses', async (t) => {
  const h = await harness(t, { security: { requestsPerMinute: 2 }, trustProxy: true })
  for (const port of [1001, 1002]) t.equal((await h.inject(from(`192.0.2.1:${port}`))).statusCode, 200)
  isProblem(t, await h.inject(from('192.0.2.1:1003')), 429, 'TOO_BUSY')
})

t.test('control characters of a client do not reach the log', async (t) => {
  const h = await harness(t, { trustProxy: true })
  await h.inject(from('192.0.2.1\u009b2J\u007f'))
  t.match(h.log(), '192.0.2.1\\u009b2J\\u007f')
  t.notMatch(h.log(), /[\u007f-\u009f]/)
})

t.test('the root describes the service, as a page for browsers and as JSON for programs', async (t) => {
  const h = await harness(t)
  const page = await h.inject({ url: '/', headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } })
  t.equal(page.statusCode, 200)
  t.match(page.headers['content-type'], 'text/html; charset=utf-8')
  t.equal(page.headers.vary, 'accept')
  t.match(page.body, /classifies images that it never sees/)
  t.match(page.body, '<code>small</code>')
  t.notMatch(
    page.body,
    /<script|<style| style=/,
    'the page has nothing that the content security policy forbids',
  )
  const links = [...page.body.matchAll(/href="([^"]+)"/g)].map(([, href]) => href)
  t.ok(['docs', 'v2', 'v2/health/ready'].every((href) => links.includes(href)))
  for (const href of links) {
    t.notMatch(href, /^\/|:/, 'links are relative, for servers behind a prefix')
    const { statusCode } = await h.inject({ url: `/${href}` })
    t.ok([200, 302].includes(statusCode), `${href}: ${statusCode}`)
  }
  for (const accept of ['application/json', '*/*', undefined]) {
    const answer = await h.inject({ url: '/', headers: { ...(accept && { accept }) } })
    t.match(answer.json(), { name: 'polyveil', extensions: ['binary_tensor_data'], documentation: 'docs' })
  }
})
