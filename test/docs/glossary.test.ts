import t from 'tap'
import { glossaryPage } from '../../scripts/docs/glossary-page.ts'
import { glossary } from '../../src/cli/output/plan-page/glossary.ts'
import { TERMS } from '../../src/cli/output/plan-page/terms.ts'
import { page } from './support.ts'

t.test('docs/glossary.md is up to date with its source', async (t) => {
  t.equal(page('docs/glossary.md'), glossaryPage())
})

t.test('the glossary of the plan page has the same terms', async (t) => {
  const shown = [...String(glossary()).matchAll(/<dt>([^<]+)<\/dt>/g)].map(([, term]) => term)
  t.strictSame(
    shown,
    TERMS.map(([term]) => term),
  )
  const named = [...page('docs/glossary.md').matchAll(/^\*\*(.+?)\.\*\*/gm)].map(([, term]) => term)
  for (const term of shown) t.ok(named.includes(term), term)
  t.equal(new Set(named).size, named.length, 'each term appears once')
})
