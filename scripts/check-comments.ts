import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { overlong, rewrap } from './comments/wrap.ts'

// Comments must not be wider than the formatter's lines, which the formatter does not check. `--write` wraps
// paragraphs that are wider.

const { formatter } = JSON.parse(readFileSync('biome.json', 'utf8')) as { formatter: { lineWidth: number } }
const isWriting = process.argv.includes('--write')
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '')

const faults: string[] = []
for (const file of files) {
  const text = readFileSync(file, 'utf8')
  const lines = overlong(text, formatter.lineWidth)
  if (lines.length === 0) continue
  const wrapped = isWriting ? rewrap(text, formatter.lineWidth) : text
  if (wrapped !== text) writeFileSync(file, wrapped)
  for (const line of overlong(wrapped, formatter.lineWidth)) faults.push(`${file}:${line}`)
}
if (faults.length > 0) {
  console.error(`Comments wider than ${formatter.lineWidth} columns (npm run format wraps them):`)
  for (const fault of faults) console.error(`  ${fault}`)
  process.exitCode = 1
}
