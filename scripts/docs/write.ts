import { writeFileSync } from 'node:fs'
import { PAGES } from './pages.ts'

// `npm run docs`: writes every page, or part of a page, that has a source in the code or in bench/results.

for (const { path, text } of PAGES) {
  writeFileSync(new URL(`../../${path}`, import.meta.url), text())
  console.log(path)
}
