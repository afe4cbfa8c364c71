import { isFresh } from '../../scripts/building/fresh.ts'

/** @throws when dist is missing or older than a source, because it would not show what the sources do */
export async function requireBuild(): Promise<void> {
  if (!(await isFresh())) throw new Error('dist is stale; `npm run build` makes it anew, as `npm test` does')
}
