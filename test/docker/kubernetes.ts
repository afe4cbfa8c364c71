import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Container } from 'kubernetes-types/core/v1.js'
import type { Test } from 'tap'
import { parse } from 'yaml'
import { ROOT } from '../../scripts/building/paths.ts'

/** Manifests of the service in one process; those of several are in a folder of it. */
export const MANIFESTS = join(ROOT, 'deploy/kubernetes')

/** Reads a manifest. @param name its path below `MANIFESTS` */
export const manifest = <T>(name: string): T => parse(readFileSync(join(MANIFESTS, name), 'utf8')) as T

export interface Kustomization {
  readonly resources: readonly string[]
  readonly images: readonly { name: string; newTag: string }[]
}

/** The module of kubernetes-types that has the resources of an API. */
const MODULES: Readonly<Record<string, string>> = {
  'apps/v1': 'apps/v1',
  v1: 'core/v1',
  'networking.k8s.io/v1': 'networking/v1',
  'policy/v1': 'policy/v1',
}

export interface Resource {
  readonly apiVersion: string
  readonly kind: string
}

/** What the TypeScript compiler says about a resource whose type is the one of its kind. */
export function complaints(t: Test, resource: Resource): string {
  const { apiVersion, kind } = resource
  const folder = t.testdir()
  const file = join(folder, 'resource.ts')
  const source = `import type { ${kind} } from 'kubernetes-types/${MODULES[apiVersion]}.js'
    export const resource: ${kind} = ${JSON.stringify(resource)}`
  writeFileSync(file, source)
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { strict: true, noEmit: true, types: [] }, files: ['resource.ts'] }),
  )
  const compiler = fileURLToPath(new URL('bin/tsc', import.meta.resolve('typescript/package.json')))
  // tap adds NODE_OPTIONS, with which its loader would run the compiler.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, compiler, '-p', folder]
  const { stdout, stderr } = spawnSync('env', command, { encoding: 'utf8' })
  return stdout + stderr
}

/** Variables of a container that the manifest gives as text. */
export const variablesOf = ({ env = [] }: Container): Record<string, string> =>
  Object.fromEntries(env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])))

/** Gibibytes of a quantity such as 6Gi. */
export const gibibytesOf = (quantity: unknown): number => Number(/^(\d+)Gi$/.exec(String(quantity))![1])
