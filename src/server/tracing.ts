import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Bindings, ChildLoggerOptions } from 'pino'
import { VERSION } from '../version.ts'

// Spans by the API of OpenTelemetry. Without an SDK in the process its spans record nothing. Attributes have
// no secrets: no ids of key sets, no tokens, no bytes of clients.

/** A span, and the context in which its parts begin. */
export interface Traced {
  readonly span: Span
  readonly context: Context
}

/** Begins a span. @param kind by default internal */
export function beginSpan(
  name: string,
  parent: Context,
  attributes: Attributes = {},
  kind: SpanKind = SpanKind.INTERNAL,
): Traced {
  // An SDK may be registered later than this module is loaded.
  const span = trace.getTracer('polyveil', VERSION).startSpan(name, { kind, attributes }, parent)
  return { span, context: trace.setSpan(parent, span) }
}

const requests = new WeakMap<IncomingMessage, Traced>()

/** The context of a request's span. */
export const contextOf = ({ raw }: Pick<FastifyRequest, 'raw'>): Context =>
  requests.get(raw)?.context ?? context.active()

/** Fields of log lines that belong to a request; none when it has no span. */
export function traceFields({ raw }: Partial<Pick<FastifyRequest, 'raw'>>): {
  trace_id?: string
  span_id?: string
} {
  const spanContext = raw && requests.get(raw)?.span.spanContext()
  if (spanContext === undefined || !isSpanContextValid(spanContext)) return {}
  return { trace_id: spanContext.traceId, span_id: spanContext.spanId }
}

/** Begins the span of a request with its logger, so that all of its lines name the span. */
export const tracedLogger = (
  logger: FastifyBaseLogger,
  bindings: Bindings,
  options: ChildLoggerOptions,
  raw: IncomingMessage,
): FastifyBaseLogger => {
  requests.set(raw, beginRequest(raw, String(bindings.reqId)))
  return logger.child({ ...bindings, ...traceFields({ raw }) }, options)
}

function beginRequest({ method = '', headers }: IncomingMessage, requestId: string): Traced {
  const active = context.active()
  // A span that instrumentation of HTTP has begun continues the client's trace already.
  const parent = trace.getSpan(active) ? active : propagation.extract(active, headers)
  const attributes = { 'http.request.method': method, 'polyveil.request_id': requestId }
  return beginSpan(method, parent, attributes, SpanKind.SERVER)
}

const FAULT = 500

/** Ends the span of a request when its answer is sent, or its connection closed. */
export function endRequestWith({ raw, routeOptions }: FastifyRequest, answer: ServerResponse): void {
  const traced = requests.get(raw)
  if (!traced?.span.isRecording()) return
  const { span } = traced
  const route = routeOptions?.url
  if (route !== undefined) span.updateName(`${raw.method} ${route}`).setAttribute('http.route', route)
  answer.once('close', () => {
    span.setAttribute('http.response.status_code', answer.statusCode)
    if (answer.statusCode >= FAULT) span.setStatus({ code: SpanStatusCode.ERROR })
    span.end()
  })
}
