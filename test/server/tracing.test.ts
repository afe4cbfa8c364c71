import { createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import t from 'tap'
import { PolyVeilError } from '../../src/errors/index.ts'
import type { InferenceJob } from '../../src/server/inference/engine.ts'
import { type Harness, harness, query, uploadKeys } from './support.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const CLIENT_SPAN = 'b7ad6b7169203331'
const traceparent = `00-${TRACE}-${CLIENT_SPAN}-01`

const logged = (h: Harness): Record<string, unknown>[] =>
  h
    .log()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

// Runs before an SDK is registered.
t.test('without an SDK the log has no ids of traces, and everything works', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  t.equal((await h.inject(query(keys, { headers: { traceparent } }))).statusCode, 200)
  t.notMatch(h.log(), /trace_id|span_id/)
  t.notMatch(h.log(), TRACE)
})

t.test('with an SDK', async (t) => {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  trace.setGlobalTracerProvider(provider)
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  t.teardown(() => {
    trace.disable()
    propagation.disable()
  })
  t.beforeEach(() => exporter.reset())
  const spans = (name: string): ReadableSpan[] =>
    exporter.getFinishedSpans().filter((span) => span.name === name)
  const idOf = (span: ReadableSpan): string => span.spanContext().spanId

  t.test('a request continues the trace of its client, and its lines name its span', async (t) => {
    const h = await harness(t)
    const { headers } = await h.inject({ url: '/v2/models?name=unlogged', headers: { traceparent } })
    const [span] = spans('GET /v2/models')
    t.equal(span.kind, SpanKind.SERVER)
    t.equal(span.spanContext().traceId, TRACE)
    t.equal(span.parentSpanContext?.spanId, CLIENT_SPAN)
    t.strictSame(span.attributes, {
      'http.request.method': 'GET',
      'http.route': '/v2/models',
      'http.response.status_code': 200,
      'polyveil.request_id': headers['request-id'] ?? headers['x-request-id'],
    })
    const lines = logged(h).filter(({ reqId }) => reqId !== undefined)
    t.ok(lines.length >= 2)
    for (const line of lines) t.match(line, { trace_id: TRACE, span_id: idOf(span) })
  })

  t.test('a malformed traceparent begins a new trace', async (t) => {
    const h = await harness(t)
    await h.inject({ url: '/v2/models', headers: { traceparent: '00-zz-11-01' } })
    const [span] = spans('GET /v2/models')
    t.match(span.spanContext().traceId, /^[0-9a-f]{32}$/)
    t.equal(span.parentSpanContext, undefined)
  })

  t.test('an inference has a span, and its stages have spans in it', async (t) => {
    const h = await harness(t)
    const keys = await uploadKeys(h)
    h.engine.work = async ({ onStage, frame }: InferenceJob) => {
      for (const stage of ['compute', 'client', 'compute'] as const) onStage?.(stage)
      return frame.slice(0, 100)
    }
    exporter.reset()
    t.equal((await h.inject(query(keys, { headers: { traceparent } }))).statusCode, 200)
    const [request] = spans('POST /v2/models/:model/infer')
    const [inference] = spans('inference')
    t.equal(inference.parentSpanContext?.spanId, idOf(request))
    t.strictSame(inference.attributes, {
      'polyveil.model': 'small',
      'polyveil.model_version': '1',
      'polyveil.rounds': 0,
      'polyveil.images': 1,
      'polyveil.request_id': request.attributes['polyveil.request_id'],
      'polyveil.outcome': 'ok',
    })
    const counts = { queue: 1, load: 1, compute: 2, client: 1, send: 1 }
    for (const [stage, count] of Object.entries(counts)) {
      const found = spans(`inference.${stage}`)
      t.equal(found.length, count, stage)
      for (const span of found) {
        t.equal(span.parentSpanContext?.spanId, idOf(inference))
        t.strictSame(span.attributes, {})
      }
    }
    t.equal(exporter.getFinishedSpans().length, 8)
    const [audited] = logged(h).filter(({ audit }) => audit === 'query taken')
    t.match(audited, { trace_id: TRACE, span_id: idOf(request) })
  })

  t.test('an inference that fails has its code, and no text of the error', async (t) => {
    const h = await harness(t)
    const keys = await uploadKeys(h)
    h.engine.work = () => Promise.reject(new PolyVeilError('WORKER_LOST', 'a text of the error'))
    await h.inject(query(keys))
    const [inference] = spans('inference')
    t.equal(inference.attributes['polyveil.outcome'], 'WORKER_LOST')
    t.equal(inference.status.code, SpanStatusCode.ERROR)
    const [request] = spans('POST /v2/models/:model/infer')
    t.equal(request.status.code, SpanStatusCode.ERROR)
    t.equal(inference.events.length, 0)
    t.equal(inference.status.message, undefined)
  })

  t.test('requests without a route, and those that break off, have spans that end', async (t) => {
    const h = await harness(t)
    await h.inject({ url: '/v2/nothing-secret' })
    await h.inject({ url: '/v2/models/%zz' })
    t.equal(spans('GET').length, 2)
    t.notMatch(JSON.stringify(spans('GET').map(({ attributes }) => attributes)), /nothing-secret|zz/)
    const before = logged(h).filter(({ msg }) => msg === 'incoming request').length
    const { port } = new URL(await h.app.listen({ port: 0 }))
    const socket = createConnection(Number(port))
    socket.write('PUT /v2/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf')
    const arrived = () => logged(h).filter(({ msg }) => msg === 'incoming request').length
    while (arrived() < before + 1) await sleep(5)
    socket.destroy()
    while (exporter.getFinishedSpans().length < 3) await sleep(5)
    t.match(exporter.getFinishedSpans()[2].name, /^PUT/)
  })
})
