import { bundledCircuits } from './bundled.ts'

/** Settings for the bundled networks, unless a flag, a file or a variable says what to serve. */
export async function defaultModels(options: {
  readonly models?: string
  readonly config?: string
}): Promise<Record<string, string>> {
  const stated = options.models ?? options.config ?? process.env.POLYVEIL_MODELS_DIR
  return stated === undefined ? { POLYVEIL_MODELS_DIR: await bundledCircuits() } : {}
}
