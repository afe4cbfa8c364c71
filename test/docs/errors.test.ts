import { readFile } from 'node:fs/promises'
import t from 'tap'
import { ERROR_CODES } from '../../src/errors/index.ts'

t.test('docs/errors.md documents exactly the codes of the table', async (t) => {
  const page = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const sections = new Map(
    page
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf('\n')), section]),
  )
  t.strictSame([...sections.keys()], Object.keys(ERROR_CODES))
  for (const [name, { status, exit, cause, remedy }] of Object.entries(ERROR_CODES)) {
    const section = sections.get(name) ?? ''
    t.ok(section.includes(`HTTP ${status}, exit code ${exit}.`), `${name}: status and exit code`)
    t.ok(section.includes(`Cause: ${cause}`), `${name}: cause`)
    t.ok(section.includes(`Remedy: ${remedy}`), `${name}: remedy`)
  }
})
