import { build, buildIfStale } from './building/build.ts'

const [, , ...flags] = process.argv
if (flags.some((flag) => flag !== '--if-stale')) {
  console.error('Usage: npm run build -- [--if-stale]')
  process.exit(2)
}
const stale = flags.length > 0
await (stale ? buildIfStale : build)((line) => console.error(line))
