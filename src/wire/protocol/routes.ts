/**
 * Paths of the API below the server's address, without a leading slash: a client resolves them against an
 * address that may have a path prefix. `:name` stands for one segment.
 */
export const ROUTES = {
  server: 'v2',
  live: 'v2/health/live',
  ready: 'v2/health/ready',
  models: 'v2/models',
  model: 'v2/models/:model',
  /** Every route of a model is there below it too. */
  modelVersion: 'v2/models/:model/versions/:version',
  modelReady: 'v2/models/:model/ready',
  manifest: 'v2/models/:model/manifest',
  /** A page about the model's plan, where its operator has published one. */
  plan: 'v2/models/:model/plan',
  infer: 'v2/models/:model/infer',
  keys: 'v2/keys',
  /** The form of version 0.1, with the id in the path; clients of today send `KEY_SET_HEADER`. */
  keySet: 'v2/keys/:id',
  inference: 'v2/inferences/:id',
  inferenceEvents: 'v2/inferences/:id/events',
  round: 'v2/inferences/:id/rounds/:round',
} as const

type Segments<Template extends string> = Template extends `${string}:${infer Name}/${infer Rest}`
  ? Name | Segments<Rest>
  : Template extends `${string}:${infer Name}`
    ? Name
    : never

/** A value for each `:name` of a template. */
export type PathParams<Template extends string> = Readonly<Record<Segments<Template>, string | number>>

/** The template as a router takes it: with a leading slash. */
export const routeOf = <Template extends string>(template: Template): `/${Template}` => `/${template}`

/** The template with its segments filled in, percent-encoded; without a leading slash. */
export const pathOf = <Template extends string>(template: Template, params: PathParams<Template>): string =>
  template.replaceAll(/:(\w+)/g, (_, name: Segments<Template>) => encodeURIComponent(params[name]))
