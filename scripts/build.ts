import { build, buildIfStale } from './building/build.ts'

const stale = process.argv.includes('--if-stale')
await (stale ? buildIfStale : build)((line) => console.error(line))
