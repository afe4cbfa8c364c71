import { existsSync, readdirSync } from 'node:fs'
import t from 'tap'
import { withBlock } from '../../scripts/docs/markdown.ts'
import { PAGES } from '../../scripts/docs/pages.ts'
import { RESULTS } from '../../scripts/docs/results.ts'
import { page, project, shell } from './support.ts'

for (const { path, text } of PAGES) {
  t.test(`${path} is what \`npm run docs\` writes`, async (t) => {
    t.equal(page(path), text())
  })
}

t.test('every file of bench/results is the source of a table, and is named below it', async (t) => {
  const used = Object.values(RESULTS).map(({ file }) => file)
  t.strictSame(readdirSync(new URL('../../bench/results/', import.meta.url)).sort(), used.toSorted())
  const pages = ['performance', 'families', 'several-machines'].map((name) => page(`docs/${name}.md`)).join()
  for (const file of used) t.ok(pages.includes(`bench/results/${file}`), file)
})

t.test('links of generated pages and of the pages beside README lead to existing files', async (t) => {
  const pages = ['CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/performance-history.md']
  for (const path of [...pages, ...PAGES.map((each) => each.path)]) {
    for (const [, target] of page(path).matchAll(/\]\((?!https?:)([^)#]+)(?:#[\w-]+)?\)/g)) {
      const file = new URL(target, new URL(`../../${path}`, import.meta.url))
      t.ok(existsSync(file), `${path} links to ${target}`)
    }
  }
})

t.test('withBlock keeps the text around a block; a page without the block is an error', async (t) => {
  const before = 'a\n<!-- x -->\nold\n<!-- end of x -->\nb\n'
  const after = withBlock(before, 'x', 'new')
  t.equal(after, 'a\n<!-- x -->\n\nnew\n\n<!-- end of x -->\nb\n')
  t.equal(withBlock(after, 'x', 'new'), after, 'writing twice gives the same text')
  t.throws(() => withBlock(before, 'y', 'new'), /no block "y"/)
})

t.test('docs/cli.md has every command of the help', async (t) => {
  const { stdout } = await shell(project(t), 'npx polyveil --help')
  const named = [...stdout.split('Commands:')[1].matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name)
  t.ok(named.length > 10)
  for (const name of named.filter((each) => each !== 'help')) {
    t.match(page('docs/cli.md'), new RegExp(`^## polyveil ${name}\\b`, 'm'), name)
  }
})
