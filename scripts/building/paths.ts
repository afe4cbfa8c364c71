import { fileURLToPath } from 'node:url'

const within = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

export const ROOT = within('')
export const SOURCE = within('src/')
/** The modules that make dist. */
export const BUILDING = within('scripts/building/')
export const DIST = within('dist/')
/** The compiled bundled networks. */
export const CIRCUITS = within('dist/zoo/')
/** The web page of the service: its source, and the bundle. */
export const PAGE_SOURCE = within('src/page/')
export const PAGE = within('dist/page/')
export const CLI = within('dist/cli/main.js')
export const KERNEL_SOURCE = within('src/he-ops/kernels/assembly/index.ts')
/** This relative path is valid in the sources and, after copying, in dist. */
export const KERNEL_BUILD = within('src/he-ops/kernels/build/')
export const KERNEL_MODULES = {
  shared: within('src/he-ops/kernels/build/kernels-shared.wasm'),
  unshared: within('src/he-ops/kernels/build/kernels.wasm'),
}
