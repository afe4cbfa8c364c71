import { isFresh } from '../../scripts/building/fresh.ts'

/** @throws when dist is missing or older than a source: what it would show is not what the sources say */
export async function requireBuild(): Promise<void> {
  if (!(await isFresh())) throw new Error('dist is stale; `npm run build` makes it anew, as `npm test` does')
}
