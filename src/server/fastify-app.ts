import fastify, { type FastifyBaseLogger } from 'fastify'
import { serializerCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { type TrustedProxies, trusted } from './addresses/trusted-proxies.ts'
import { requestId } from './plugins/logging.ts'
import { sendProblem } from './plugins/problems.ts'
import { answerUnparsed } from './plugins/unparsed-requests.ts'
import { requestValidator } from './plugins/validation.ts'
import { REQUEST_MILLISECONDS } from './request-time.ts'
import type { App } from './services.ts'
import { endRequestWith, tracedLogger } from './tracing.ts'

const MAX_JSON_BODY_BYTES = 256 * 1024

/** An app without routes, for one port of the service. Its errors are problem documents. */
export function newApp(loggerInstance: FastifyBaseLogger, trustProxy: TrustedProxies = false): App {
  const app: App = fastify({
    loggerInstance,
    childLoggerFactory: tracedLogger,
    genReqId: requestId,
    trustProxy: trusted(trustProxy),
    requestTimeout: REQUEST_MILLISECONDS,
    // It would also end the wait for running inferences when the app closes.
    pluginTimeout: 0,
    bodyLimit: MAX_JSON_BODY_BYTES,
    routerOptions: { maxParamLength: 128 },
    // Requests that Fastify would answer in its own words; the plugins answer them with problem documents.
    frameworkErrors: (error, request, reply) => {
      endRequestWith(request, reply.raw)
      return sendProblem(error, request, reply)
    },
    clientErrorHandler: answerUnparsed,
    return503OnClosing: false,
    http: { requireHostHeader: false },
  }).withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(requestValidator)
  app.setSerializerCompiler(serializerCompiler)
  app.removeContentTypeParser('text/plain')
  return app
}
