import { appendFileSync } from 'node:fs'
import { BroadcastChannel, isMainThread } from 'node:worker_threads'
import { propagation, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { BasicTracerProvider, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { readConfig, type ServerOverrides } from '../../../src/server/config.ts'
import { serve } from '../../../src/server/serve.ts'
import { ENDING_WORKERS } from './ending-workers.ts'

// A complete service in a process of its own, with an SDK that appends spans to a file. Each message ends its
// workers. Arguments: settings as JSON, and the path of the file.

const [, , settings, path] = process.argv
const written = ({ name, attributes, status, events, links, resource }: ReadableSpan): string =>
  JSON.stringify({ name, attributes, status, events, links, resource: resource.attributes })
if (isMainThread) {
  const exporter = {
    export(spans: ReadableSpan[], done: (result: { code: number }) => void): void {
      for (const span of spans) appendFileSync(path, `${written(span)}\n`)
      done({ code: 0 })
    },
    shutdown: async (): Promise<void> => {},
  }
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  trace.setGlobalTracerProvider(provider)
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  const { url } = await serve(await readConfig({ overrides: JSON.parse(settings) as ServerOverrides }))
  const workers = new BroadcastChannel(ENDING_WORKERS)
  workers.unref()
  process.on('message', () => workers.postMessage('end'))
  process.channel!.unref()
  process.send!(url)
}
