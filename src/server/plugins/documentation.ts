import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { VERSION } from '../../version.ts'
import { BYTES_MEDIA_TYPE } from '../../wire/protocol/index.ts'
import { jsonHeader } from '../openapi/response-schemas.ts'
import { completeResponses, type Responses } from '../openapi/route-responses.ts'
import type { App } from '../services.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Description of a binary body, which no schema validates. */
    binaryBody?: string
    /** Name of the schema of the JSON document that the binary body begins with. */
    bodyHeader?: string
  }
}

type Transform = typeof jsonSchemaTransform
type TransformObject = typeof jsonSchemaTransformObject

/** What the document says of the app as a whole. */
export interface DocumentedApp {
  readonly title: string
  readonly description: string
  readonly tags: readonly { readonly name: string; readonly description: string }[]
}

const PUBLIC: DocumentedApp = {
  title: 'PolyVeil',
  description: 'Private image classification, in the style of the Open Inference Protocol v2',
  tags: [
    { name: 'server', description: 'Metadata and health' },
    { name: 'models', description: 'What is served' },
    { name: 'keys', description: 'Public and evaluation keys' },
    { name: 'inference', description: 'Encrypted images in, encrypted logits out' },
  ],
}

/** The OpenAPI 3.1 document, made from the schemas that validate requests, and a page that shows it. */
export async function useDocumentation(
  app: App,
  { title, description, tags }: DocumentedApp = PUBLIC,
): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title,
        version: VERSION,
        description,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            description: 'A token of polyveil tokens; an open service needs none',
          },
        },
      },
      tags: [...tags],
    },
    transform,
    transformObject,
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

/** A token, or nothing where the service is open. */
const TOKEN_OR_OPEN: readonly Record<string, readonly string[]>[] = [{ token: [] }, {}]

const transform: Transform = (document) => {
  const { schema, url } = jsonSchemaTransform(document)
  if (!('route' in document) || schema?.hide) return { schema, url }
  const { route } = document
  const response = completeResponses((schema?.response ?? {}) as Responses, route)
  const security = route.config?.access === 'open' ? undefined : TOKEN_OR_OPEN
  const { binaryBody: description, bodyHeader } = route.config ?? {}
  if (!description) return { schema: { ...schema, security, response }, url }
  const body = {
    type: 'string',
    contentMediaType: BYTES_MEDIA_TYPE,
    description,
    ...(bodyHeader && jsonHeader(bodyHeader)),
  }
  return { schema: { ...schema, security, consumes: [BYTES_MEDIA_TYPE], body, response }, url }
}

/** Adds the named schemas, and leaves out those that nothing refers to. */
const transformObject: TransformObject = (document) => {
  const object = jsonSchemaTransformObject(document)
  if (!('components' in object)) return object
  const text = JSON.stringify(object)
  const schemas = Object.entries(object.components?.schemas ?? {}).filter(([name]) =>
    text.includes(`"#/components/schemas/${name}"`),
  )
  const components = { ...object.components, schemas: Object.fromEntries(schemas) }
  return { ...object, components } as typeof object
}
