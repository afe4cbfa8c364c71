import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const SOURCE = fileURLToPath(new URL('../../src/', import.meta.url))
/** Folders with more modules than this have a README.md. */
const MOST_WITHOUT = 3

const folders = readdirSync(SOURCE, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => join(entry.parentPath, entry.name).slice(SOURCE.length))
const modules = (folder: string): number =>
  readdirSync(join(SOURCE, folder)).filter((name) => name.endsWith('.ts')).length

t.test('every folder with more than three modules has a README.md', async (t) => {
  const needed = folders.filter((folder) => !folder.includes('/') || modules(folder) > MOST_WITHOUT)
  t.ok(needed.length > 40, 'the search finds the folders')
  for (const folder of needed) t.ok(existsSync(join(SOURCE, folder, 'README.md')), `src/${folder}/README.md`)
})

t.test('headers of folders are short', async (t) => {
  for (const folder of folders) {
    const path = join(SOURCE, folder, 'README.md')
    if (!existsSync(path)) continue
    const [heading, empty, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n')
    t.match(heading, /^# \w/, folder)
    t.equal(empty, '', folder)
    t.ok(lines.length >= 1 && lines.length <= 5, `${folder}: ${lines.length} lines`)
  }
})
