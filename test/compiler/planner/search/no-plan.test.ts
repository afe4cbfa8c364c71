import t from 'tap'
import type { Candidate } from '../../../../src/compiler/planner/search/candidate.ts'
import { imprecise, keysTooLarge } from '../../../../src/compiler/planner/search/no-plan.ts'

t.test('plans whose keys are all too large: the error names the smallest and the ways out', async (t) => {
  const tried = [{ keyBytes: 4.4e9 }, { keyBytes: 3.2e9 }] as unknown as Candidate[]
  const error = keysTooLarge(tried, {})
  t.equal(error.code, 'TOO_LARGE')
  t.strictSame(error.facts, { keyBytes: 3.2e9 })
  t.match(error.message, /3\.2 GB on the wire at least.*--refresh client$/)
  const offline = keysTooLarge(tried, { offlineClient: true })
  t.match(offline.message, /--refresh client and without --offline-client$/)
})

t.test(
  'for an offline client, another choice of --refresh is the client only without the flag',
  async (t) => {
    t.match(imprecise({ precisionBits: 8 }, 7).message, /another choice of --refresh$/)
    const offline = imprecise({ precisionBits: 8, offlineClient: true }, 7)
    t.match(offline.message, /another choice of --refresh \(client only without --offline-client\)$/)
  },
)
