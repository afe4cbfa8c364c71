import { readFileSync } from 'node:fs'
import { program } from '../../src/cli/program.ts'
import { cliPage } from './cli-page.ts'
import { configurationPage } from './configuration-page.ts'
import { PERFORMANCE_TABLES, readmeTable } from './figures.ts'
import { glossaryPage } from './glossary-page.ts'
import { withBlock } from './markdown.ts'

/** A page of the documentation that a script writes, wholly or in part. */
export interface Page {
  /** Path from the repository's root. */
  readonly path: string
  /** The text as it has to be, from the page's sources and from the page as it is. */
  text(): string
}

const current = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

/** A page whose blocks are made by functions; the rest is written by hand. */
const withTables = (path: string, tables: Readonly<Record<string, () => string>>): Page => ({
  path,
  text: () =>
    Object.entries(tables).reduce((page, [name, table]) => withBlock(page, name, table()), current(path)),
})

export const PAGES: readonly Page[] = [
  { path: 'docs/cli.md', text: () => cliPage(program()) },
  { path: 'docs/configuration.md', text: configurationPage },
  { path: 'docs/glossary.md', text: glossaryPage },
  withTables('docs/performance.md', PERFORMANCE_TABLES),
  withTables('README.md', { figures: readmeTable }),
]
