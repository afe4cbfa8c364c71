import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ROOT } from './paths.ts'

/** Runs the TypeScript compiler. Its messages go to stderr, because a program may read stdout. */
export async function emitJavaScript(): Promise<void> {
  const compiler = fileURLToPath(new URL('bin/tsc', import.meta.resolve('typescript/package.json')))
  const child = spawn(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.stdout.pipe(process.stderr, { end: false })
  const [status] = await once(child, 'close')
  if (status !== 0) throw new Error('The TypeScript compiler reported errors')
}
