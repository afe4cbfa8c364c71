import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { VERSION } from '../../version.ts'
import { BYTES_MEDIA_TYPE } from '../../wire/protocol/index.ts'
import type { App } from '../services.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Description of a binary body, which no schema validates. */
    binaryBody?: string
  }
}

type Transform = typeof jsonSchemaTransform

/** The OpenAPI 3.1 document, made from the schemas that validate requests, and a page that shows it. */
export async function useDocumentation(app: App): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'PolyVeil',
        version: VERSION,
        description: 'Private image classification, in the style of the Open Inference Protocol v2',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'server', description: 'Metadata and health' },
        { name: 'models', description: 'What is served' },
        { name: 'keys', description: 'Public and evaluation keys' },
        { name: 'inference', description: 'Encrypted images in, encrypted logits out' },
      ],
    },
    transform,
    transformObject: jsonSchemaTransformObject,
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // The service itself speaks http, behind a TLS proxy or on localhost, so browsers must not upgrade to
    // https.
    transformStaticCSP: (policy) => policy.replace('upgrade-insecure-requests;', ''),
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
}

const transform: Transform = (document) => {
  const { schema, url } = jsonSchemaTransform(document)
  const description = 'route' in document ? document.route.config?.binaryBody : undefined
  if (!description) return { schema, url }
  const body = { type: 'string', contentMediaType: BYTES_MEDIA_TYPE, description }
  return { schema: { ...schema, consumes: [BYTES_MEDIA_TYPE], body }, url }
}
