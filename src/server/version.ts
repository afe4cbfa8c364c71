import { createRequire } from 'node:module'

export const SERVER_NAME = 'polyveil'

// Two levels up from here is the package, from src and from dist alike.
export const VERSION: string = createRequire(import.meta.url)('../../package.json').version
