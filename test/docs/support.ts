import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { CLI } from '../../scripts/building/paths.ts'
import { environment } from '../cli/support.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export const page = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

/**
 * Fenced code of one language in a section of a page, in order.
 *
 * @param heading heading of the section with its number signs; the section includes its subsections
 * @throws when there is none, because a test of nothing would always pass
 */
export function code(path: string, heading: string, language: string): string[] {
  const [, rest] = `\n${page(path)}`.split(`\n${heading}\n`)
  if (rest === undefined) throw new Error(`${path} has no section "${heading}"`)
  const depth = heading.indexOf(' ')
  // A heading of the same depth or above ends the section. Comments in shell scripts are not headings.
  const section = rest
    .split('```')
    .map((part, i) => (i % 2 ? part : part.split(new RegExp(`\n#{1,${depth}} `))))
  const blocks: string[] = []
  for (const part of section) {
    if (typeof part === 'string' && part.startsWith(`${language}\n`))
      blocks.push(part.slice(language.length + 1))
    if (Array.isArray(part) && part.length > 1) break
  }
  if (blocks.length === 0) throw new Error(`"${heading}" of ${path} has no ${language}`)
  return blocks
}

/** A user's project with the package installed. */
export function project(t: Test, files: Readonly<Record<string, string | Uint8Array>> = {}): string {
  const directory = t.testdir({})
  writeFileSync(join(directory, 'package.json'), '{"type":"module","private":true}')
  mkdirSync(join(directory, 'node_modules', '.bin'), { recursive: true })
  symlinkSync(ROOT, join(directory, 'node_modules', 'polyveil'), 'dir')
  symlinkSync(CLI, join(directory, 'node_modules', '.bin', 'polyveil'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content)
  return directory
}

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program in a project, with the Node of the test. */
export async function run(cwd: string, program: string, ...args: string[]): Promise<Ran> {
  const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter)
  const child = spawn(program, args, {
    cwd,
    env: { ...environment, PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<number | null>((resolve, reject) =>
    child.on('close', resolve).on('error', reject),
  )
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, stdout, stderr }
}

/** Runs a shell script that ends at its first failure. */
export const shell = (cwd: string, script: string): Promise<Ran> =>
  run(cwd, 'bash', '-c', `set -euo pipefail\n${script}`)

/** Runs a TypeScript module. */
export async function module(cwd: string, name: string, source: string): Promise<Ran> {
  writeFileSync(join(cwd, name), source)
  return run(cwd, process.execPath, name)
}

/** The address in the documentation, which tests replace by that of their server. */
export const DOCUMENTED_URL = 'http://127.0.0.1:8080'
