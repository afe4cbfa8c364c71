import { createRequire } from 'node:module'

// One level up from here is the package, from src and from dist alike.
const { version } = createRequire(import.meta.url)('../package.json') as { version: string }

/** Version of the package. */
export const VERSION: string = version
