import { readFileSync } from 'node:fs'
import { program } from '../../src/cli/program.ts'
import { cliPage } from './cli-page.ts'
import { clusterTable } from './cluster-table.ts'
import { configurationPage } from './configuration-page.ts'
import { PERFORMANCE_TABLES, readmeTable } from './figures.ts'
import { glossaryPage } from './glossary-page.ts'
import { withBlock } from './markdown.ts'
import { metricsTable } from './metrics-table.ts'
import { familiesTable, fullSizeTable } from './network-tables.ts'

/** A page of the documentation of which a script writes all or parts. */
export interface Page {
  /** Path from the root of the repository. */
  readonly path: string
  /** The text of the page, made from its sources and from its current text. */
  text(): string
}

const current = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

/** A page whose blocks are made by functions. The rest is written by hand. */
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
  withTables('docs/families.md', { 'full size': fullSizeTable }),
  withTables('docs/several-machines.md', { throughput: clusterTable }),
  withTables('docs/observability.md', { metrics: metricsTable }),
  withTables('README.md', { figures: readmeTable, families: familiesTable }),
]
