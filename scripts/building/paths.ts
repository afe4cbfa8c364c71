import { fileURLToPath } from 'node:url'

const within = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

export const ROOT = within('')
export const SOURCE = within('src/')
/** What makes dist. */
export const BUILDING = within('scripts/building/')
export const DIST = within('dist/')
/** The bundled networks, compiled. */
export const CIRCUITS = within('dist/zoo/')
export const CLI = within('dist/cli/main.js')
export const KERNEL_SOURCE = within('src/he-ops/kernels/assembly/index.ts')
/** Found from source files and, copied, from dist by the same relative path. */
export const KERNEL_BUILD = within('src/he-ops/kernels/build/')
export const KERNEL_MODULES = {
  shared: within('src/he-ops/kernels/build/kernels-shared.wasm'),
  unshared: within('src/he-ops/kernels/build/kernels.wasm'),
}
