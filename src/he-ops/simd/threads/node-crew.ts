import { Piscina } from 'piscina'
import type { Crew, CrewMember, Share } from './crew.ts'

/** Worker threads of Node. */
export function nodeCrew(member: CrewMember, threads: number): Crew {
  const pool = new Piscina({
    filename: workerFile(),
    minThreads: threads,
    maxThreads: threads,
    workerData: member,
  })
  return {
    run: (share: Share, signal) => pool.run(share, { signal }),
    close: () => pool.close(),
  }
}

/** The worker module next to this one: TypeScript in the source tree, JavaScript in the build. */
function workerFile(): string {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./pool-worker.${ending}`, import.meta.url).href
}
