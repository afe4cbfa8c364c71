import { buildIfStale } from './building/build.ts'
import { importBuilt } from './building/import-built.ts'

await buildIfStale((line) => console.error(line))
const { run } = await importBuilt<typeof import('../src/cli/run.ts')>('cli/run.js')
await run(['serve', ...process.argv.slice(2)])
